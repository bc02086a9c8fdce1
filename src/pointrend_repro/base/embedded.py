"""Pictures as text, so that a page is one file."""

import base64
import io
from typing import Any, Literal

from PIL.Image import Image


def data_url(picture: Image, kind: Literal["JPEG", "WEBP"], **options: Any) -> str:
    """Return an RGB picture as a `data:` URL.

    Args:
        options: Pillow's for this kind of file, such as `quality`.
    """
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{text}"
