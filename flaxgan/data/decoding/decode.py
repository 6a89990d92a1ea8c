"""Decoding of image files to pixels."""

import contextlib
import io
import threading

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from flaxgan.data.decoding import png
from flaxgan.data.decoding.transform import Shape, Transform
from flaxgan.data.errors import ImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

MAX_PIXELS = 1 << 27
"""Largest number of pixels of an image: a file of a few bytes can declare any number, and all would be decoded."""

_LARGE_PIXELS = 1 << 24
_large = threading.Lock()  # Large images are decoded one at a time: the largest ones take up to 2 GB each.

# These classes open a file faster than `Image.open`. Of an MPO file (a photo followed by further pictures, such as a
# preview) the class for JPEG reads the photo.
_KINDS = ((png.SIGNATURE, png.PngFile), (b"\xff\xd8\xff", JpegImageFile), (b"RIFF", WebPImageFile))

_AS_IT_IS = Transform()
_MODES_OF_16_BITS = ("I;16", "I;16L", "I;16B", "I")
# The decoded mode of each mode of a file; with a transparent colour it is RGBA instead.
_NATURAL_MODES = {
    "1": "L",
    "L": "L",
    **dict.fromkeys(_MODES_OF_16_BITS, "L"),
    **dict.fromkeys(("RGB", "RGBX", "P", "CMYK", "YCbCr"), "RGB"),
    **dict.fromkeys(("RGBA", "LA", "PA"), "RGBA"),
}
_ORIENTATION_TAG = 0x0112
_TURNS = {  # for each value of the orientation tag
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


def header_shape(data: bytes, where: str) -> Shape:
    """Returns the shape of the decoded image, without a transform and without decoding pixels.

    Args:
      data: first bytes of the file, at least its header.
      where: name of the file in messages.

    Returns:
      (H, W, C) in pixels and channels.

    Raises:
      ImageError: if the data are not the start of an image of a supported kind.
    """
    return _shape(_open(data, where), where)


def decode(data: bytes, where: str, transform: Transform = _AS_IT_IS) -> np.ndarray:
    """Decodes an image.

    The EXIF orientation is applied. Palettes and CMYK become RGB (CMYK without a colour profile), and bilevel images
    become grey. Of 16 bits per channel, the upper 8 are kept. Transparency of any kind (LA, a transparent colour or
    palette) gives RGBA. Of several pictures in one JPEG file (MPO), the first one is decoded.

    Args:
      data: the whole file.
      where: name of the file in messages.
      transform: preprocessing of the decoded image.

    Returns:
      Pixels, uint8 [H, W, C].

    Raises:
      ImageError: if the file cannot be decoded, is of an unsupported kind, or is not allowed by the transform.
    """
    image = _open(data, where)
    transform.shape(_shape(image, where), where)  # Refuses images of a wrong size before they are decoded.
    with _large if image.width * image.height > _LARGE_PIXELS else contextlib.nullcontext():
        picture = _picture(image, where)
        return transform.apply_to_picture(picture, where)


def _open(data: bytes, where: str) -> Image.Image:
    if not data:
        raise ImageError(f"{where}: the file is empty")
    kind = next((kind for signature, kind in _KINDS if data.startswith(signature)), None)
    if kind is None:
        raise ImageError(f"{where}: not a PNG, JPEG or WebP image, or damaged")
    try:
        image = kind(io.BytesIO(data))
    except Exception as error:  # Decoders raise anything on damaged bytes.
        raise ImageError(f"{where}: the image's header cannot be read ({error})") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{where}: the header declares {height}x{width} pixels; allowed: up to {MAX_PIXELS:,} of them")
    return image


def _picture(image: Image.Image, where: str) -> Image.Image:
    """Decodes the opened image, upright and in a mode that transforms accept."""
    if isinstance(image, png.PngFile):
        image.check_checksums(where)
    try:
        image.load()
        picture = _upright(_natural(image))
    except Exception as error:  # Decoders raise anything on damaged bytes.
        raise ImageError(f"{where}: the image cannot be decoded; it may be damaged or cut short ({error})") from error
    if isinstance(image, png.PngFile):
        image.check_whole(where)
    return picture


def _shape(image: Image.Image, where: str) -> Shape:
    mode = _natural_mode(image)
    if mode is None:
        raise ImageError(f"{where}: unsupported kind of image (mode {image.mode}); allowed: grey, RGB, CMYK or palette")
    if getattr(image, "is_animated", False):
        raise ImageError(f"{where}: the image is an animation; allowed: still images")
    width, height = image.size
    if _orientation(image) in _SIDEWAYS:
        width, height = height, width
    return height, width, len(mode)


def _natural_mode(image: Image.Image) -> str | None:
    mode = _NATURAL_MODES.get(image.mode)
    return "RGBA" if mode and "transparency" in image.info else mode


def _natural(image: Image.Image) -> Image.Image:
    mode = _natural_mode(image)
    if image.mode in _MODES_OF_16_BITS:
        return _of_16_bits(image)
    return image if image.mode == mode else image.convert(mode)


def _of_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if "transparency" not in image.info:
        return grey
    opaque = Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8))
    return Image.merge("RGBA", (grey, grey, grey, opaque))


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info:
        return 1
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # A damaged EXIF block is ignored.
        return 1


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)
