"""The one exception for everything that a user can mend, and what its messages share."""

import difflib


class UserError(Exception):
    """A wrong input, setting or machine, told in one line.

    The message names the file or the key that is wrong and says what to do about it. The command
    line prints it without a traceback and exits with 2.
    """


def suggest(name: str, names: list[str]) -> str:
    """Return the end of a message about an unknown name: what was meant, or what there is."""
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(names)}" if 0 < len(names) <= 20 else ""
