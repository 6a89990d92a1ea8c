"""Image preprocessing: crops, converts and resizes the pixels of a file to those of a training image."""

import dataclasses
from typing import Literal

import numpy as np
from PIL import Image

from flaxgan.data.errors import SizeError
from flaxgan.data.field_checks import CHANNEL_NAMES
from flaxgan.errors import FieldError

CROPS = ("none", "center")
FILTERS = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
RESIZES = ("none", *FILTERS)

_MODE_OF_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
_BACKGROUND = (255, 255, 255, 255)

Shape = tuple[int, int, int]
"""(H, W, C) in pixels and channels."""


@dataclasses.dataclass(frozen=True)
class Transform:
    """A pure function of an image: crops it about its centre, then converts its channels, then resizes it.

    Attributes:
      size: (H, W) of the result in pixels; None keeps the size of the image, and allows neither a crop nor a filter.
      channels: channels of the result, 1 (grey), 3 (RGB) or 4 (RGBA); None keeps the channels of the image.
      crop: "none", or "center": the largest rectangle about the centre with the aspect ratio of `size`; with
        resize="none", the rectangle of `size` itself.
      resize: "none", which allows only images of the right size, or the filter, "lanczos" (3 lobes) or "box". Both are
        antialiased, as in Pillow, and used for reduction and enlargement.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    crop: Literal["none", "center"] = "none"
    resize: Literal["none", "lanczos", "box"] = "none"

    def __post_init__(self) -> None:
        if self.channels is not None and self.channels not in CHANNEL_NAMES:
            raise FieldError("channels", self.channels, "1, 3, 4 or None")
        for name, choices in (("crop", CROPS), ("resize", RESIZES)):
            value = {"crop": self.crop, "resize": self.resize}[name]
            if value not in choices:
                raise FieldError(f"config.data.{name}", value, ", ".join(choices))
            if value != "none" and self.size is None:
                raise FieldError(f"config.data.{name}", value, "'none', because config.data.resolution is unset")

    def shape(self, found: Shape, where: str) -> Shape:
        """Computes the shape of a transformed image, without its pixels.

        Args:
          found: (H, W, C) of the image.
          where: name of the image in messages.

        Raises:
          SizeError: if the transform does not allow images of this size.
        """
        height, width, channels = found
        size = self.size or (height, width)
        top, left, bottom, right = self._window(height, width)
        if self.resize == "none" and (bottom - top, right - left) != size:
            raise SizeError(f"{where}: {self._size_problem((height, width), size)}")
        return (*size, self.channels or channels)

    def stretches(self, height: int, width: int) -> bool:
        """Returns whether the scale factors of height and width differ by more than 1%."""
        if self.resize == "none" or self.crop != "none" or self.size is None:
            return False
        rows, columns = self.size
        return not 0.99 < (rows * width) / (columns * height) < 1.01

    def apply(self, image: np.ndarray, where: str = "image") -> np.ndarray:
        """Transforms one image.

        Grey becomes RGB by repetition, and RGB becomes grey as 0.299 R + 0.587 G + 0.114 B (ITU-R 601). RGBA is
        composed with a white background to become RGB or grey. Images without alpha become opaque RGBA.

        Args:
          image: uint8 [h, w, c] with 1, 3 or 4 channels.
          where: name of the image in messages.

        Returns:
          uint8 [H, W, C]; the image itself if the transform changes nothing.

        Raises:
          SizeError: if the transform does not allow images of this size.
        """
        if self.shape(image.shape, where) == image.shape:
            return image
        return self.apply_to_picture(_picture(image), where)

    def apply_to_picture(self, picture: Image.Image, where: str = "image") -> np.ndarray:
        """Transforms a Pillow image of mode L, RGB or RGBA; see `apply`."""
        width, height = picture.size
        rows, columns, channels = self.shape((height, width, len(picture.mode)), where)
        top, left, bottom, right = self._window(height, width)
        if (top, left, bottom, right) != (0, 0, height, width):
            picture = picture.crop((left, top, right, bottom))
        picture = _converted(picture, channels)
        if picture.size != (columns, rows):
            picture = picture.resize((columns, rows), FILTERS[self.resize])
        # As np.asarray, in half the time for small images.
        return np.frombuffer(picture.tobytes(), np.uint8).reshape(rows, columns, channels)

    def _window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns (top, left, bottom, right) of the part of the image that is used."""
        if self.crop == "none" or self.size is None:
            return 0, 0, height, width
        rows, columns = self._window_size(height, width, self.size)
        top, left = (height - rows) // 2, (width - columns) // 2
        return top, left, top + rows, left + columns

    def _window_size(self, height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
        rows, columns = size
        if self.resize == "none":
            return min(height, rows), min(width, columns)
        if height * columns > width * rows:  # The image is taller than the result.
            return max(1, round(width * rows / columns)), width
        return height, max(1, round(height * columns / rows))

    def _size_problem(self, found_size: tuple[int, int], size: tuple[int, int]) -> str:
        found = "the image is {}x{} pixels (height x width)".format(*found_size)
        allowed = "{}x{}".format(*size)
        if self.crop == "none":
            return (
                f"{found}; allowed: {allowed} (config.data.resolution, or the size of the first image if it is unset). "
                "config.data.resize='lanczos' or 'box' resizes images, config.data.crop='center' crops them"
            )
        return (
            f"{found}; allowed with config.data.crop='center': at least {allowed} (config.data.resolution), or "
            "config.data.resize='lanczos'"
        )


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image[:, :, 0] if image.shape[2] == 1 else image))


def _converted(picture: Image.Image, channels: int) -> Image.Image:
    mode = _MODE_OF_CHANNELS[channels]
    if picture.mode == "RGBA" and mode != "RGBA":
        page = Image.new("RGBA", picture.size, _BACKGROUND)
        picture = Image.alpha_composite(page, picture)
    return picture if picture.mode == mode else picture.convert(mode)
