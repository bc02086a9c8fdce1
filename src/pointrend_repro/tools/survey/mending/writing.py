"""Writes the corrected copy of a folder."""

import json
import os
import shutil
from pathlib import Path, PurePath

from rich.console import Console
from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_errors, write_text
from pointrend_repro.base.folders import atomic_folder
from pointrend_repro.tools.survey.content import SPLITS, Split
from pointrend_repro.tools.survey.mending.depths import write_8_bits
from pointrend_repro.tools.survey.mending.entries import Document
from pointrend_repro.tools.survey.mending.planning import Plan


def require_free(root: Path, out: Path) -> None:
    """Refuse a destination that is in use, or inside the folder to be copied.

    Raises:
        UserError: it is.
    """
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise UserError(f"{out}: is there already, and not empty; name a new folder for the copy")
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{out}: is inside {root}; name a folder beside it for the copy")


def write_copy(plan: Plan, out: Path, *, link: bool) -> dict[Split, Path]:
    """Write a folder according to `plan`, whole or not at all; the original is not changed.

    Args:
        out: the new folder.
        link: hard-link unchanged files instead of copying them.

    Returns:
        The COCO file of each split in it.

    Raises:
        UserError: it cannot be written.
    """
    coco = annotation_files(plan)
    with atomic_folder(out) as part:
        _copy_files(plan, part, link=link)
        for split, below in coco.items():
            _write_document(plan, split, part / below, link=link)
    return {split: out / below for split, below in coco.items()}


def annotation_files(plan: Plan) -> dict[Split, PurePath]:
    """Return where the COCO files go in the copy: where they were, or where COCO has them."""
    names: dict[Split, PurePath] = {}
    for split in ("train", "val"):
        source = plan.sources.coco.get(split)
        if source is not None and source.path.is_relative_to(plan.sources.root):
            names[split] = source.path.relative_to(plan.sources.root)
        else:
            names[split] = PurePath("annotations") / f"instances_{split}.json"
    return names


def images_of_copy(plan: Plan, out: Path) -> dict[Split, Path]:
    """Return the folder in a copy that each split's file names are relative to.

    A split of a single file has lost what showed it: the folder of that file, or its name.
    """
    coco, root = plan.sources.coco, plan.sources.root
    found = {split: (coco.get(split) or coco["both"]).images_dir for split in SPLITS}
    return {s: out / f.relative_to(root) for s, f in found.items() if f.is_relative_to(root)}


def _copy_files(plan: Plan, part: Path, *, link: bool) -> None:
    root, deep = plan.sources.root, {os.path.normpath(path) for path in plan.deep}
    written = {source.path for source in plan.sources.coco.values()}
    files = [path for path in plan.sources.files if path not in written]
    for path in track(files, "copying", console=Console(stderr=True)):
        target = part / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.normpath(path) in deep:
            with write_errors(target):
                write_8_bits(path, target, plan.bits)
        elif path.is_file():  # the check reports broken links
            _copy(path, target, link=link)


def _write_document(plan: Plan, split: Split, target: Path, *, link: bool) -> None:
    source = plan.sources.coco.get(split)
    document: Document = plan.splits[split] if plan.splits else plan.documents[split]
    target.parent.mkdir(parents=True, exist_ok=True)
    if source is not None and document is source.document:
        _copy(source.path, target, link=link)
    else:
        # NaN in an entry that is refused anyway is passed on.
        write_text(target, json.dumps(document) + "\n")


def _copy(source: Path, target: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(source.resolve(), target)
        except OSError as error:  # such as another disk, or files of another user
            raise UserError(
                f"{source}: cannot be linked ({error.strerror}); leave out --link"
            ) from None
        return
    try:
        shutil.copy2(source, target)
    except PermissionError:
        raise UserError(f"{source}: may not be read; ask its owner, or take it away") from None
