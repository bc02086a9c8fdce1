"""The parts of a page that are written anew, each between two marks; the rest is somebody's own."""

from collections.abc import Mapping
from pathlib import Path

from pointrend_repro.base.errors import UserError

END = "<!-- up to here -->"


def begin(name: str) -> str:
    """Return the mark before a block."""
    return f"<!-- {name}: written by `pointrend-repro evidence` -->"


def with_blocks(page: Path, title: str, blocks: Mapping[str, str]) -> str:
    """Return a page's text with some of its blocks replaced; those that it lacks come at its end.

    Args:
        page: need not exist; its blocks may stand in any order, with anything between them.
        title: the heading of a new page.
        blocks: the Markdown of each block, by its name.

    Raises:
        UserError: a block's first mark stands there more than once, or has no end.
    """
    text = page.read_text(encoding="utf-8") if page.is_file() else f"# {title}\n"
    for name, content in blocks.items():
        text = _with_block(page, text, begin(name), content)
    return text


def _with_block(page: Path, text: str, mark: str, content: str) -> str:
    before, *rest = text.split(mark)
    if len(rest) > 1 or any(END not in part for part in rest):
        raise UserError(f"{page}: must have one line {mark!r} and, below it, one {END!r}")
    after = rest[0].split(END, maxsplit=1)[1] if rest else "\n"
    if not rest:
        before = before.rstrip("\n") + "\n\n"
    return f"{before}{mark}\n{content}{END}{after}"
