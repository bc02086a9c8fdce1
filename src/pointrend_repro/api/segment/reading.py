"""Reads one picture for a gallery, or says why it cannot be."""

import errno
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.api.longest_sides import too_long
from pointrend_repro.api.segment.pictures import UNREAD_SUFFIXES
from pointrend_repro.base.errors import UserError
from pointrend_repro.data.decoding import opened_picture
from pointrend_repro.data.images import read_picture


class UnreadableError(Exception):
    """A picture is at fault, and not, say, a full disk."""


def state_of(path: Path) -> tuple[int, int]:
    """Return the size of a picture's file in bytes and when it was changed, in ns.

    Raises:
        UnreadableError: it leads nowhere, may not be looked at, or is of a kind that is not read.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UnreadableError(_why_not_there(path, error)) from None
    suffix = path.suffix.lower()
    if suffix in UNREAD_SUFFIXES:
        raise UnreadableError(f"{suffix} is not read; convert it to JPEG or PNG")
    return stat.st_size, stat.st_mtime_ns


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Return a picture's pixels (H, W, 3).

    Raises:
        UnreadableError: it is damaged, or its overlay could not be written.
    """
    try:
        pixels = read_picture(path)
    except UserError as error:
        raise UnreadableError(str(error).removeprefix(f"{path}: ")) from None
    height, width = pixels.shape[:2]
    most = too_long("JPEG", height, width)
    if most is not None:
        raise UnreadableError(
            f"has {width}x{height} pixels, and its overlay, a JPEG, at most {most} a side; "
            "make it smaller"
        )
    return pixels


def count_frames(path: Path) -> int:
    """Return how many pictures a file holds, of which the first is read."""
    try:
        with opened_picture(path, otherwise="not a whole image", advice="fetch it again") as image:
            # The others are previews of the first, or what a second lens saw.
            return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    except UserError:  # what follows the first one is damaged
        return 1


def _why_not_there(path: Path, error: OSError) -> str:
    if error.errno not in (errno.ENOENT, errno.ELOOP):
        return f"cannot be read: {error.strerror}"
    try:
        return f"is a link to {path.readlink()}, which is not there"
    except OSError:
        return "it is gone"
