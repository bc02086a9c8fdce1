"""The parts of a page that are written anew, each between two marks; the rest is somebody's own."""

from pathlib import Path

from pointrend_repro.base.errors import UserError

END = "<!-- up to here -->"


def begin(name: str) -> str:
    """Return the mark before a block."""
    return f"<!-- {name}: written by `pointrend-repro evidence` -->"


def with_block(page: Path, name: str, content: str) -> str:
    """Return a page's text with one of its blocks replaced, or added at its end.

    Args:
        page: need not exist.
        content: the Markdown of the block.

    Raises:
        UserError: the block's first mark stands there more than once, or has no end.
    """
    text = page.read_text(encoding="utf-8") if page.is_file() else "# Evidence\n"
    mark = begin(name)
    before, *rest = text.split(mark)
    if len(rest) > 1 or any(END not in part for part in rest):
        raise UserError(f"{page}: must have one line {mark!r} and, below it, one {END!r}")
    after = rest[0].split(END, maxsplit=1)[1] if rest else "\n"
    if not rest:
        before = before.rstrip("\n") + "\n\n"
    return f"{before}{mark}\n{content}{END}{after}"
