"""What a recipe asks of its images: the fields of its data section that a source sees."""

import dataclasses
from typing import Literal

from flaxgan.data import field_checks
from flaxgan.data.decoding.transform import Transform

LABELS = ("classes", "vectors")
ON_ERROR = ("raise", "skip")


@dataclasses.dataclass(frozen=True)
class ImageSpec:
    """What a recipe asks of its images.

    Attributes:
      resolution: pixels: a side length or (height, width); None takes the data's own.
      channels: 1 (grey), 3 (RGB) or 4 (RGBA), to which images are converted; None takes the data's own, in which all
        images must agree, skipped or not.
      num_classes: number of classes, or length of the label vectors, which the data must have; 0 ignores labels, None
        takes the data's own.
      crop: see `flaxgan.data.decoding.transform.Transform`.
      resize: likewise.
      labels: "classes", int32 [M], or "vectors", float32 [M, K].
      on_error: "raise" stops at an image that cannot be used; "skip" takes the next one that can, and counts it.

    Raises:
      ValueError: if a value is not allowed, naming the field.
    """

    resolution: int | tuple[int, int] | None = None
    channels: int | None = None
    num_classes: int | None = None
    crop: Literal["none", "center"] = "none"
    resize: Literal["none", "lanczos", "box"] = "none"
    labels: Literal["classes", "vectors"] = "classes"
    on_error: Literal["raise", "skip"] = "raise"

    def __post_init__(self):
        field_checks.check_num_classes(self.num_classes)
        for name, value, choices in (("labels", self.labels, LABELS), ("on_error", self.on_error, ON_ERROR)):
            if value not in choices:
                raise ValueError(f"data.{name}={value!r}; allowed: {', '.join(choices)}")
        Transform(self.size, None, self.crop, self.resize)

    @property
    def size(self) -> tuple[int, int] | None:
        """The resolution as (height, width)."""
        return field_checks.height_width(self.resolution)

    @property
    def transform(self) -> Transform:
        """What is done to an image file.

        Raises:
          ValueError: if no image file has that many channels.
        """
        field_checks.check_image_channels(self.channels)
        return Transform(self.size, self.channels, self.crop, self.resize)
