"""From the bytes of an image file to pixels."""

import contextlib
import io
import threading
import warnings

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from flaxgan.data.decoding import png
from flaxgan.data.decoding.transform import Shape, Transform
from flaxgan.data.errors import ImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

MAX_PIXELS = 1 << 27
"""An image with more is refused: a few bytes can declare any number, and all of them would be decoded."""

_LARGE_PIXELS = 1 << 24
_large = threading.Lock()  # Such images are decoded one at a time: the largest take up to 2 GB each.

# By their class they open faster than by `Image.open`. Of an MPO file, a photo with more pictures behind it such as a
# preview, the class for JPEG reads the photo.
_KINDS = ((png.SIGNATURE, png.PngFile), (b"\xff\xd8\xff", JpegImageFile), (b"RIFF", WebPImageFile))
# Pillow warns of damaged notes in a file, and of large images; the former do not matter here, the latter are allowed.
warnings.filterwarnings("ignore", module=r"PIL\.")

_AS_IT_IS = Transform()
_MODES_OF_16_BITS = ("I;16", "I;16L", "I;16B", "I")
# What a file's mode becomes; with a transparent colour, RGBA.
_NATURAL_MODES = {
    "1": "L",
    "L": "L",
    **dict.fromkeys(_MODES_OF_16_BITS, "L"),
    **dict.fromkeys(("RGB", "RGBX", "P", "CMYK", "YCbCr"), "RGB"),
    **dict.fromkeys(("RGBA", "LA", "PA"), "RGBA"),
}
_ORIENTATION_TAG = 0x0112
_TURNS = {  # of the values of that tag
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
    """The shape that `decode` gives without a transform, from the start of the file and without decoding pixels.

    Args:
      data: the file's first bytes, at least its header.
      where: what to call the file in a message.

    Returns:
      (H, W, C) in pixels and channels.

    Raises:
      ImageError: if this is not the start of an image of a supported kind.
    """
    return _shape(_open(data, where), where)


def decode(data: bytes, where: str, transform: Transform = _AS_IT_IS) -> np.ndarray:
    """Decodes an image.

    The orientation that a camera noted is applied. Palettes and CMYK become RGB (CMYK without a colour profile), and
    two-level images grey. Of 16 bits a channel the upper 8 are kept. Transparency of any kind (LA, a transparent colour
    or palette) gives RGBA. Of several pictures in one JPEG (MPO) the first one is taken.

    Args:
      data: the whole file.
      where: what to call the file in a message.
      transform: what is then done to it.

    Returns:
      Pixels, uint8 [H, W, C].

    Raises:
      ImageError: if the file cannot be decoded, is of an unsupported kind, or the transform does not take it.
    """
    image = _open(data, where)
    transform.shape(_shape(image, where), where)  # Before a large image of a wrong size is decoded.
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
    except Exception as error:  # decoders raise anything on damaged bytes
        raise ImageError(f"{where}: the image's header cannot be read ({error})") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{where}: the header declares {height}x{width} pixels; allowed: up to {MAX_PIXELS:,} of them")
    return image


def _picture(image: Image.Image, where: str) -> Image.Image:
    """The opened image in a mode that transforms take, and upright."""
    is_png = isinstance(image, png.PngFile)
    if is_png:
        image.check_checksums(where)
    try:
        image.load()
        picture = _upright(_natural(image))
    except Exception as error:  # decoders raise anything on damaged bytes
        raise ImageError(f"{where}: the image cannot be decoded; it may be damaged or cut short ({error})") from error
    if is_png:
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
    except Exception:  # a damaged note says nothing, and leaves the pixels as they are
        return 1


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)
