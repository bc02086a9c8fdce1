"""What `pointrend-repro data mend` prints: what it mended, and what is left in the copy."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.folder_check import CocoFiles

if TYPE_CHECKING:
    from pointrend_repro.tools.survey.content import Split
    from pointrend_repro.tools.survey.mending.planning import Plan


def check_copy(plan: "Plan", out: Path, files: "Mapping[Split, Path]", named: CocoFiles) -> None:
    """Print what is left to mend in a mended copy.

    Args:
        files: its COCO files.
        named: what had to be named of the original.

    Raises:
        UserError: something is left.
    """
    from pointrend_repro.tools.survey.inspecting import inspect_folder
    from pointrend_repro.tools.survey.mending.writing import images_of_copy
    from pointrend_repro.tools.survey.text import findings_lines

    images = images_of_copy(plan, out)
    survey = inspect_folder(out, train=files["train"], val=files["val"], images=images)
    # What was named, and a file that was split, no longer show where things are.
    images_named = bool(named.images) or "both" in plan.sources.coco
    files_named = bool(named.train or named.val)
    again = _check_of(out, files if files_named else None, images if images_named else None)
    title, all_by = "To mend before anything is trained", f"{again} --output FILE"
    print_lines(findings_lines(survey, title, must_mend=True, all_by=all_by))
    if survey.faults:
        raise UserError(f"{out}: left to mend by hand, named above: {len(survey.faults)}")
    print(f"\nNext: {again} --write")


def print_lines(lines: Iterable[str]) -> None:
    """Print lines without the control codes that names may contain."""
    from pointrend_repro.tools.survey.text import printable

    for line in lines:
        print(printable(line))


def _check_of(
    folder: Path, files: "Mapping[Split, Path] | None", images: "Mapping[Split, Path] | None"
) -> str:
    """Return the command that checks a folder, of which these are named for each split."""
    named = {f"--{split}": path for split, path in (files or {}).items()}
    named |= {f"--{split}-images": path for split, path in (images or {}).items()}
    options = "".join(f" {option} {shlex.quote(str(path))}" for option, path in named.items())
    return f"pointrend-repro data check {shlex.quote(str(folder))}{options}"
