"""Texts for people, without characters that are not seen but change what is.

Marks and overrides of the writing direction can show a text as another one; the codes of a terminal
clear it. Files of `config/` may hold none, so no title needs a thought wherever it is shown. What
comes from elsewhere, such as a device's name in a record, is shown with their code points instead.
"""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator

# Controls but for tab and line feed, marks and overrides of the writing direction, the separators
# of lines and paragraphs, and halves of characters, which no file can hold.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ufeff\ud800-\udfff]"
)

T = TypeVar("T")


def visible(text: str) -> str:
    """Return text with the code points of what would not be seen, as in `[U+202E]`."""
    return _HIDDEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def visible_in_html(value: T) -> T | str:
    """Apply `visible` to the texts among a template's values; for jinja's `finalize`."""
    if not isinstance(value, str) or _HIDDEN.search(value) is None:
        return value
    # Markup stays markup: a code point's name holds nothing that HTML knows.
    return type(value)(visible(value))


def _valid(text: str) -> str:
    found = _HIDDEN.search(text)
    if found:
        raise ValueError(f"holds the unseen character U+{ord(found[0]):04X}; take it out")
    return text


Text = Annotated[str, AfterValidator(_valid)]
