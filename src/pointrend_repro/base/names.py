"""What a name may be: of presets, variants, data sets, tables, rows, claims and ways to predict.

Names become file names, folders, wildcards and words of a shell line; so there is one pattern for
all of them, which nothing in those places reads as anything else.
"""

import re
from typing import Annotated

from pydantic import AfterValidator

from pointrend_repro.base.errors import UserError, suggest

NAME_PATTERN = "[a-z0-9_]{1,100}"
_NAME = re.compile(NAME_PATTERN)
# A file's own name, as a server or an archive may choose it: no path, and not hidden.
_FILE_NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_RULE = "lowercase letters, digits and underscores make a name (100 at most)"


def is_name(text: str) -> bool:
    """Whether a text may be a name."""
    return _NAME.fullmatch(text) is not None


def is_file_name(text: str) -> bool:
    """Whether a text may be the name of a file that is fetched."""
    return _FILE_NAME.fullmatch(text) is not None


def require_name(name: str, what: str, known: list[str] | None = None) -> str:
    """Return a name that a person has typed or a file has said.

    Args:
        what: what it is the name of, to begin the message with.
        known: names that there are, of which the nearest is suggested.

    Raises:
        UserError: it is none.
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
    # Every character that is not printed is escaped, so it stays one harmless line.
    return repr(name if len(name) <= 80 else f"{name[:80]}...")


Name = Annotated[str, AfterValidator(_valid)]
