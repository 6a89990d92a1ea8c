"""From the pixels of a file to the pixels of a training image: cropped, converted and resized as the recipe says."""

import dataclasses
from typing import Literal

import numpy as np
from PIL import Image

from flaxgan.data.errors import SizeError
from flaxgan.data.field_checks import CHANNEL_NAMES

CROPS = ("none", "center")
FILTERS = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
RESIZES = ("none", *FILTERS)

_MODE_OF_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
_BACKGROUND = (255, 255, 255, 255)

Shape = tuple[int, int, int]
"""(H, W, C) in pixels and channels."""


@dataclasses.dataclass(frozen=True)
class Transform:
    """A pure function of the image: cropped about its centre, then converted to the channels, then resized.

    Attributes:
      size: (H, W) in pixels of the result; None keeps the image's, and allows neither a crop nor a filter.
      channels: 1 (grey), 3 (RGB) or 4 (RGBA) of the result; None keeps the image's.
      crop: "none", or "center": the largest rectangle about the centre that has the aspect of `size`; with
        resize="none", the rectangle of `size` itself.
      resize: "none", which only lets images of the right size pass, or the filter, "lanczos" (of 3 lobes) or "box".
        Both are antialiased, as in Pillow; images are reduced and enlarged alike.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    crop: Literal["none", "center"] = "none"
    resize: Literal["none", "lanczos", "box"] = "none"

    def __post_init__(self):
        if self.channels is not None and self.channels not in CHANNEL_NAMES:
            raise ValueError(f"channels={self.channels!r}; allowed: 1, 3, 4 or None")
        for name, choices in (("crop", CROPS), ("resize", RESIZES)):
            value = {"crop": self.crop, "resize": self.resize}[name]
            if value not in choices:
                raise ValueError(f"data.{name}={value!r}; allowed: {', '.join(choices)}")
            if value != "none" and self.size is None:
                raise ValueError(f"data.{name}={value!r}, but data.resolution is unset; allowed: 'none', or set it")

    def shape(self, found: Shape, where: str) -> Shape:
        """The shape that an image of a given shape gets, without touching pixels.

        Args:
          found: (H, W, C) of the image.
          where: what to call the image in a message.

        Raises:
          SizeError: if this transform does not take such an image.
        """
        height, width, channels = found
        size = self.size or (height, width)
        top, left, bottom, right = self._window(height, width)
        if self.resize == "none" and (bottom - top, right - left) != size:
            raise SizeError(f"{where}: {self._size_problem(height, width)}")
        return (*size, self.channels or channels)

    def stretches(self, height: int, width: int) -> bool:
        """Whether the height and the width of an image change by factors that differ by more than 1%."""
        if self.resize == "none" or self.crop != "none":
            return False
        rows, columns = self.size
        return not 0.99 < (rows * width) / (columns * height) < 1.01

    def apply(self, image: np.ndarray, where: str = "image") -> np.ndarray:
        """Transforms one image.

        Grey becomes RGB by repetition, and RGB becomes grey as 0.299 R + 0.587 G + 0.114 B (ITU-R 601). RGBA becomes
        RGB or grey as it looks on a white page; what has no alpha gets an opaque one.

        Args:
          image: uint8 [h, w, c] of 1, 3 or 4 channels.
          where: what to call the image in a message.

        Returns:
          uint8 [H, W, C]; the image itself where nothing is to be done.

        Raises:
          SizeError: as `shape` does.
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
        # What np.asarray does, in half the time for small images.
        return np.frombuffer(picture.tobytes(), np.uint8).reshape(rows, columns, channels)

    def _window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of the part of the image that is used."""
        if self.crop == "none":
            return 0, 0, height, width
        rows, columns = self._window_size(height, width)
        top, left = (height - rows) // 2, (width - columns) // 2
        return top, left, top + rows, left + columns

    def _window_size(self, height: int, width: int) -> tuple[int, int]:
        if self.resize == "none":
            return min(height, self.size[0]), min(width, self.size[1])
        rows, columns = self.size
        if height * columns > width * rows:  # the image is the taller one
            return max(1, round(width * rows / columns)), width
        return height, max(1, round(height * columns / rows))

    def _size_problem(self, height: int, width: int) -> str:
        found = f"the image is {height}x{width} pixels (height x width)"
        allowed = "{}x{}".format(*self.size)
        if self.crop == "none":
            return (
                f"{found}; allowed: {allowed} (data.resolution, or the size of the first image where that is unset). "
                "data.resize='lanczos' or 'box' resizes images on reading, data.crop='center' crops them"
            )
        return (
            f"{found}; allowed with data.crop='center': at least {allowed} (data.resolution), or data.resize='lanczos'"
        )


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image[:, :, 0] if image.shape[2] == 1 else image))


def _converted(picture: Image.Image, channels: int) -> Image.Image:
    mode = _MODE_OF_CHANNELS[channels]
    if picture.mode == "RGBA" and mode != "RGBA":
        page = Image.new("RGBA", picture.size, _BACKGROUND)
        picture = Image.alpha_composite(page, picture)
    return picture if picture.mode == mode else picture.convert(mode)
