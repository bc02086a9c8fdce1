"""Valid names of presets, variants, data sets, tables, rows, claims and inference settings.

Names become file names, folders, wildcards and words of a shell line, so one pattern holds for all
of them that has no special meaning in any of these places.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

from pointrend_repro.base.errors import UserError, suggest

NAME_PATTERN = "[a-z0-9_]{1,100}"
_NAME = re.compile(NAME_PATTERN)
# The name of one file, as a server or an archive may choose it: no path, and not hidden.
_FILE_NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_RULE = "lowercase letters, digits and underscores make a name (100 at most)"


def is_name(text: str) -> bool:
    """Whether a text may be a name."""
    return _NAME.fullmatch(text) is not None


def is_file_name(text: str) -> bool:
    """Whether a text may be the name of a fetched file."""
    return _FILE_NAME.fullmatch(text) is not None


def require_name(name: str, what: str, known: list[str] | None = None) -> str:
    """Return a name that a person typed or a file gave, if it is valid.

    Args:
        what: the kind of thing that is named, with which the message begins.
        known: the existing names, of which the nearest is suggested.

    Raises:
        UserError: it is not a valid name.
    """
    if not is_name(name):
        hint = suggest(name, known or [])
        raise UserError(f"{what} {_shown(name)}: {_RULE}{hint if 'did you mean' in hint else ''}")
    return name


def _valid(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"{_shown(name)}: {_RULE}")
    return name


def _shown(name: str) -> str:
    # Characters that are not printable are escaped, so it stays one harmless line.
    return repr(name if len(name) <= 80 else f"{name[:80]}...")


Name = Annotated[str, AfterValidator(_valid)]
