"""How long a picture may be, which some formats limit; Pillow fails only when it is written."""

# Libjpeg's limit lies a little below the format's.
_LONGEST_PX = {"JPEG": 65500, "WEBP": 16383}


def too_long(kind: str, height: int, width: int) -> int | None:
    """Return how many pixels a side may have in a format, if a picture has more, else None."""
    most = _LONGEST_PX.get(kind)
    return most if most is not None and max(height, width) > most else None
