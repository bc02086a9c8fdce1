"""Pictures as text, so that a page is one file."""

import base64
import io

from PIL.Image import Image


def jpeg_url(picture: Image, *, quality: int) -> str:
    """Return an RGB picture as the `data:` URL of a JPEG, whose `quality` is 1 to 95."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
