"""Texts for people, without invisible characters that change how they read.

Marks and overrides of the writing direction can make a text look like another one; control codes
can clear a terminal. Files of `config/` may hold none, so a title is safe wherever it is shown. In
text from elsewhere, such as a device's name in a record, their code points are shown instead.
"""

import json
import re
from typing import Annotated, TypeVar

import markupsafe
from pydantic import AfterValidator

# Control characters except tab and line feed, marks and overrides of the writing direction,
# separators of lines and paragraphs, and halves of characters, which no file can hold.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ufeff\ud800-\udfff]"
)

T = TypeVar("T")


def visible(text: str) -> str:
    """Return text with invisible characters replaced by their code points, as in `[U+202E]`."""
    return _HIDDEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def visible_in_html(value: T) -> T | str:
    """Apply `visible` to the strings among a template's values; for jinja's `finalize`."""
    if not isinstance(value, str) or _HIDDEN.search(value) is None:
        return value
    # Markup stays markup: a code point's name holds nothing special in HTML.
    return type(value)(visible(value))


def _valid(text: str) -> str:
    found = _HIDDEN.search(text)
    if found:
        raise ValueError(f"holds invisible character U+{ord(found[0]):04X}; take it out")
    return text


Text = Annotated[str, AfterValidator(_valid)]


def script_json(value: object) -> markupsafe.Markup:
    """Return JSON that is harmless inside a `<script>`, whatever strings it holds."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return markupsafe.Markup(text)
