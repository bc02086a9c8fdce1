"""Reads an image as the RGB pixels that every model starts from."""

import warnings
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import ImageRecord
from pointrend_repro.data.decoding import opened_picture

_EXIF_ORIENTATION = 274
_TIFF_BITS = 258
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_MOST_CHANNELS = 4  # of JPEG 2000 that Pillow reads

# What reverses each EXIF orientation; 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SIDEWAYS = {_UPRIGHT[orientation] for orientation in (5, 6, 7, 8)}

# Pillow clips these to 255 when it converts them to RGB, which leaves a white image.
_DEEP_MODES = ("I", "F")


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as `open_rgb` does.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        UserError: as in `open_rgb`.
    """
    return np.array(open_rgb(Path(path)))


def read_picture(path: Path) -> np.ndarray:
    """Read an image as `read_image` does, of which nobody has looked at how many bits it uses.

    Of a data set, `data check` lists the images with 16 bits per channel and `data mend` copies
    those that are read as nearly black. A single picture has no such care, and is refused.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        UserError: as in `open_rgb`, or it has 16 bits per channel.
    """
    return np.array(open_rgb(path, deep_colour=False))


def open_rgb(path: Path, *, deep_colour: bool = True) -> Image.Image:
    """Read an image upright and in RGB, whatever its file holds, to work on it in Pillow.

    Grey, CMYK and palette images are converted; transparency is dropped, not blended, and the
    EXIF orientation is applied, both as in detectron2's `read_image` (but that one turns a TIFF
    twice).

    Args:
        deep_colour: read the upper 8 of 16 bits per channel of a colour image; a warning says if
            they are nearly black.

    Raises:
        UserError: the file is missing, not an image, truncated, has one channel of more than 8
            bits, several of 16 without `deep_colour`, or more pixels than Pillow accepts.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder, not an image")
    if not path.exists():
        raise UserError(f"{path}: no such image")
    advice = "the file may be truncated: fetch it again"
    with opened_picture(path, otherwise="not a whole image", advice=advice) as image:
        is_16_bits = is_deep_colour(image)  # loading forgets it
        if is_deep(image) or _has_deep_planes(image) or (is_16_bits and not deep_colour):
            raise UserError(
                f"{path}: has more than 8 bits per channel (mode {image.mode}); "
                "convert it to 8 bits"
            )
        image.load()  # which turns a TIFF upright, so what is left to do is asked afterwards
        upright = _upright(image)
    # Pillow warns about a palette's transparency, which is dropped here anyway.
    upright.info.pop("transparency", None)
    rgb = upright if upright.mode == "RGB" else upright.convert("RGB")
    if is_16_bits:
        _warn_if_dark(rgb, path)
    return rgb


def open_record(record: ImageRecord) -> Image.Image:
    """Read a record's image as `open_rgb` does.

    Raises:
        UserError: the image cannot be read, or its size differs from its record's.
    """
    return open_sized(record.path, width=record.width, height=record.height)


def open_sized(path: Path, *, width: int, height: int) -> Image.Image:
    """Read an image that is annotated as of this size in pixels, as `open_rgb` does.

    Raises:
        UserError: the image cannot be read, or its size is another.
    """
    image = open_rgb(path)
    if image.size != (width, height):
        raise UserError(
            f"{path}: is {image.width}x{image.height} pixels, but its annotation says "
            f"{width}x{height}; image and annotation do not match"
        )
    return image


def planes(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels (H, W, 3) as (3, H, W), contiguous: NumPy and torch take ten times as long."""
    result = np.empty((3, *pixels.shape[:2]), dtype=np.uint8)
    cv2.split(pixels, list(result))
    return result


def is_deep(image: Image.Image) -> bool:
    """Whether an image has one channel of more than 8 bits; its pixels are not read."""
    return image.mode.split(";")[0] in _DEEP_MODES


def is_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Whether an image that is opened but not loaded is in colour with 16 bits per channel.

    Pillow reads the upper 8 bits, which are nearly black where only 12 are in use.
    """
    if image.format == "JPEG2000":
        return max(_bits_of_jpeg_2000(image), default=8) > 8 and not is_deep(image)
    # Of PPM, the number is that of white.
    how = [str(tile[3]) for tile in getattr(image, "tile", ())]
    deep = any(";16" in text or (image.format == "PPM" and "65535" in text) for text in how)
    return deep and not is_deep(image)


def _bits_of_jpeg_2000(image: ImageFile.ImageFile) -> list[int]:
    """Return the bits of each channel, which Pillow does not tell; none where the header is odd."""
    if image.fp is None:
        return []
    place = image.fp.tell()
    try:
        image.fp.seek(_codestream_of_jp2(image.fp))
        # Markers SOC and SIZ (ISO 15444-1, A.5.1); then, after 36 bytes, the number of channels and
        # three bytes for each, of which the first is the bits less one, and above them the sign.
        head = image.fp.read(42 + 3 * _MOST_CHANNELS)
    finally:
        image.fp.seek(place)
    if not head.startswith(b"\xff\x4f\xff\x51"):
        return []
    depths = head[42::3][: int.from_bytes(head[40:42], "big")]
    return [(depth & 127) + 1 for depth in depths]


def _codestream_of_jp2(file: IO[bytes]) -> int:
    """Return where the codestream begins: at once, or in the box `jp2c` (ISO 15444-1, I.4)."""
    file.seek(0)
    if not file.read(12).startswith(b"\0\0\0\x0cjP  "):
        return 0
    place = 12
    while True:
        file.seek(place)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        length = 16 if size == 1 else 8
        if kind == b"jp2c":
            return place + length
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if size < length:  # the last box, or none
            return place
        place += size


def _has_deep_planes(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF has channels of 16 bits one after another, which Pillow takes for 8.

    OpenCV does not read them either, so that `data mend` cannot.
    """
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, (8,))
    return max(bits) > 8 and not (is_deep(image) or is_deep_colour(image))


def _warn_if_dark(rgb: Image.Image, path: Path) -> None:
    """Warn, once for a folder, of images that use 12 of their 16 bits."""
    if 0 < int(np.asarray(rgb).max()) <= 16:
        warnings.warn(
            f"{path.parent}: has colour images that use at most 12 of their 16 bits and are read "
            "as nearly black; `pointrend-repro data mend` makes copies of 8 bits",
            stacklevel=1,  # Python gives a warning once for its text and line
        )


def upright_method(image: Image.Image) -> Image.Transpose | None:
    """Return what turns an image upright by its EXIF orientation, or None if it is upright.

    Of an image that is not loaded: what turns its stored pixels. Of one that is loaded: what turns
    the loaded ones, which Pillow has turned already if it is a TIFF.
    """
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # broken EXIF fails in many ways and does not affect the pixels
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def is_on_its_side(turn: Image.Transpose | None) -> bool:
    """Whether what turns an image upright swaps its width and height."""
    return turn in _SIDEWAYS


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) in pixels as stored, of an image that is opened but not loaded."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # its `size` is that of the turned image
        return image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
    return image.size


def _upright(image: Image.Image) -> Image.Image:
    method = upright_method(image)
    return image if method is None else image.transpose(method)
