"""A plan as text for a terminal."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.tools.survey.content import Split
from pointrend_repro.tools.survey.mending.planning import Plan, preview
from pointrend_repro.tools.survey.mending.sources import find_sources

_NAMED = 10


def hint(
    folder: Path, *, train: Path | None, val: Path | None, images: Mapping[Split, Path]
) -> str:
    """Return the end of an error message: what could be corrected in a folder, or nothing.

    Args:
        train, val, images: as in `find_sources`.
    """
    try:
        done = preview(find_sources(folder, train=train, val=val, images=images)).done
    except UserError:
        return ""
    if not done:
        return ""
    files = {"train": train, "val": val} | {f"{split}-images": f for split, f in images.items()}
    named = "".join(f" --{name} {shlex.quote(str(f))}" for name, f in files.items() if f)
    command = f"pointrend-repro data mend {shlex.quote(str(folder))} OUT{named}"
    kinds = ", ".join(f"{kind} ({count})" for kind, count in done.items())
    return f"; `{command}` mends in a copy: {kinds}"


def to_lines(plan: Plan) -> Iterator[str]:
    """Yield what was corrected, counted by kind, and what was not."""
    if plan.done:
        yield "Mended"
    for kind, count in plan.done.items():
        yield f"  {kind}: {count}"
    if plan.deep:
        yield f"    0 to {2**plan.bits - 1} became 0 to 255, in all of them alike"
    if plan.splits:
        shares = ", ".join(f"{len(d['images'])} images to {n}" for n, d in plan.splits.items())
        yield f"    {shares}; equal pictures, and versions of one photograph, are in one of the two"
    if plan.left:
        yield f"Left as it is, since it cannot be decided: {len(plan.left)}"
        yield from (f"  {line}" for line in plan.left[:_NAMED])
        if len(plan.left) > _NAMED:
            yield f"  and {len(plan.left) - _NAMED} more"
