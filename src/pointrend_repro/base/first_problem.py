"""What is wrong with a file that a program wrote: one thing is enough, since it is made anew."""

from pydantic import ValidationError

from pointrend_repro.base.errors import printable_line


def first_problem(error: ValidationError) -> str:
    """Return the first of what pydantic found wrong, as `key: problem` in one line."""
    first = error.errors()[0]
    # A file's own keys may hold anything.
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    return printable_line(f"{key}: {first['msg'].removeprefix('Value error, ')}")
