"""The requirements of a recipe for its images: the fields of its data section that a source sees."""

import dataclasses
from typing import Literal

from flaxgan.data import field_checks
from flaxgan.data.decoding.transform import Transform
from flaxgan.errors import FieldError

LABELS = ("classes", "vectors")
ON_ERROR = ("raise", "skip")


@dataclasses.dataclass(frozen=True)
class ImageSpec:
    """The requirements of a recipe for its images.

    Attributes:
      resolution: a side length or (height, width) in pixels; None takes the size of the data.
      channels: 1 (grey), 3 (RGB) or 4 (RGBA), to which images are converted; None takes the channels of the data, in
        which all images must agree, including skipped images.
      num_classes: number of classes, or length of the label vectors, which the data must have; 0 ignores labels, None
        takes the classes of the data.
      crop: see `flaxgan.data.decoding.transform.Transform`.
      resize: see `flaxgan.data.decoding.transform.Transform`.
      labels: "classes", int32 [M], or "vectors", float32 [M, K].
      on_error: "raise" stops at an image that cannot be used; "skip" counts it and takes the next usable image.

    Raises:
      FieldError: if a value is not allowed.
    """

    resolution: int | tuple[int, int] | None = None
    channels: int | None = None
    num_classes: int | None = None
    crop: Literal["none", "center"] = "none"
    resize: Literal["none", "lanczos", "box"] = "none"
    labels: Literal["classes", "vectors"] = "classes"
    on_error: Literal["raise", "skip"] = "raise"

    def __post_init__(self) -> None:
        field_checks.check_num_classes(self.num_classes)
        for name, value, choices in (("labels", self.labels, LABELS), ("on_error", self.on_error, ON_ERROR)):
            if value not in choices:
                raise FieldError(f"config.data.{name}", value, ", ".join(choices))
        Transform(self.size, None, self.crop, self.resize)

    @property
    def size(self) -> tuple[int, int] | None:
        """The resolution as (height, width)."""
        return field_checks.height_width(self.resolution)

    @property
    def transform(self) -> Transform:
        """The transform of image files.

        Raises:
          FieldError: if image files cannot have that number of channels.
        """
        field_checks.check_image_channels(self.channels)
        return Transform(self.size, self.channels, self.crop, self.resize)
