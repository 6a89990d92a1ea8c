"""From the bytes of an image file to pixels."""

import io

import numpy as np
from PIL import Image, ImageOps

from flaxgan.data.fields import CHANNEL_NAMES

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_FORMATS = ("PNG", "JPEG", "WEBP")
_CHANNELS_OF_MODE = {"1": 1, "L": 1, "RGB": 3, "RGBA": 4}
_MODE_OF_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
_TURNED_ORIENTATIONS = (5, 6, 7, 8)  # values of the EXIF tag below that swap height and width
_ORIENTATION_TAG = 0x0112
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_BIT_DEPTH_OFFSET = 24


class ImageError(ValueError):
    """An image that cannot be used; the message names it and says why."""


def header_shape(data: bytes, where: str) -> tuple[int, int, int]:
    """The shape that `decode` gives, from the start of the file and without decoding pixels.

    Args:
      data: the file's first bytes, at least its header.
      where: what to call the file in a message.

    Returns:
      (H, W, C) in pixels and channels.

    Raises:
      ImageError: if this is not the start of an image of a supported kind.
    """
    return _shape(_open(data, where), data, where)


def decode(data: bytes, where: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes an image that must have a given shape.

    Palettes are applied, two-level images become grey, and the orientation that a camera noted is applied.

    Args:
      data: the whole file.
      where: what to call the file in a message.
      shape: the (H, W, C) that the image must have.

    Returns:
      Pixels, uint8 [H, W, C].

    Raises:
      ImageError: if the file cannot be decoded, is of an unsupported kind, or has another shape.
    """
    image = _open(data, where)
    check_shape(_shape(image, data, where), shape, where)
    try:
        if "exif" in image.info:
            image = ImageOps.exif_transpose(image)
        pixels = np.asarray(image.convert(_MODE_OF_CHANNELS[shape[2]]))
    except Exception as error:  # decoders raise anything on damaged bytes
        raise ImageError(f"{where}: the image cannot be decoded; it may be damaged or cut short ({error})") from error
    return pixels.reshape(shape)


def check_shape(found: tuple[int, int, int], allowed: tuple[int, int, int], where: str) -> None:
    """Raises ImageError unless an image has the shape (H, W, C) that the whole set must have."""
    if found[:2] != allowed[:2]:
        raise ImageError(
            f"{where}: the image is {found[0]}x{found[1]} pixels (height x width); allowed: {allowed[0]}x{allowed[1]} "
            "(data.resolution, or the size of the first image where that is unset). Images are not resized on "
            "reading: resize the files with any tool, or set data.resolution to the size that all of them have"
        )
    if found[2] != allowed[2]:
        raise ImageError(
            f"{where}: the image has {_channels(found[2])}; allowed: {_channels(allowed[2])} (data.channels, or the "
            "channels of the first image where that is unset). Convert the files with any tool, or set data.channels "
            "to what all of them have"
        )


def _channels(count: int) -> str:
    return f"{count} channel{'s' if count > 1 else ''} ({CHANNEL_NAMES[count]})"


def _open(data: bytes, where: str) -> Image.Image:
    if not data:
        raise ImageError(f"{where}: the file is empty")
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{where}: not a PNG, JPEG or WebP image, or damaged") from error
    except Exception as error:  # decoders raise anything on damaged bytes
        raise ImageError(f"{where}: the image's header cannot be read ({error})") from error


def _shape(image: Image.Image, data: bytes, where: str) -> tuple[int, int, int]:
    channels = _CHANNELS_OF_MODE.get(image.mode)
    if image.mode == "P":
        channels = 4 if "transparency" in image.info else 3
    if channels is None or _is_16_bit_png(data):
        kind = "16 bits a channel" if _is_16_bit_png(data) else f"mode {image.mode}"
        raise ImageError(f"{where}: unsupported kind of image ({kind}); allowed: 8-bit grey, RGB, RGBA or palette")
    if getattr(image, "is_animated", False):
        raise ImageError(f"{where}: the image is an animation; allowed: still images")
    width, height = image.size
    if "exif" in image.info and image.getexif().get(_ORIENTATION_TAG) in _TURNED_ORIENTATIONS:
        width, height = height, width
    return height, width, channels


def _is_16_bit_png(data: bytes) -> bool:
    # Pillow opens 16-bit colour as mode RGB and drops the low bytes without a word.
    return data.startswith(_PNG_SIGNATURE) and data[_PNG_BIT_DEPTH_OFFSET] == 16
