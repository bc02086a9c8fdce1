"""Whether annotations that `data prepare` wrote still say what the user's own files say.

Snakemake does not watch those files, or a touched file would train everything anew. So a note
beside the annotations, `made_from.json`, lists what each of them was made of: name, size, time of
the last change and SHA-256. As long as size and time are the same, nothing is read: Cityscapes has
3475 label images. Where only the time differs, as in a copy, the content decides. Annotations from
before there were notes count as up to date.
"""

import os
import shlex
from functools import cache
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.data.fingerprint import file_sha256
from pointrend_repro.data.paths import DataPaths, label_ending

_NOTE = "made_from.json"
_Files = dict[str, list[Any]]


def take_note(name: str, data: DataPaths) -> dict[str, Any]:
    """Return what a data set's annotations are about to be made of, for `write_note`.

    Raises:
        UserError: a file cannot be read.
    """
    once = cache(file_sha256)
    made = {}
    for annotations in _prepared(data):
        entries = {}
        for path in _sources(data, annotations):
            status = _status(path)
            entries[_shown(path, data)] = [status.st_size, status.st_mtime_ns, once(path)]
        made[annotations.name] = entries
    return {"dataset": name, "made_from": made}


def write_note(note: dict[str, Any], data: DataPaths) -> None:
    """Write it beside the annotations, once these are written."""
    write_json(_note_path(data), note, indent=None)


def require_up_to_date(data: DataPaths, *annotations: Path) -> None:
    """Refuse annotations that were made of other files than there are now.

    Raises:
        UserError: they were; the message names a file, and how to make them anew.
    """
    for each in annotations:
        if changed := changed_source(data, each):
            raise UserError(f"{each}: {changed}")


def changed_source(data: DataPaths, annotations: Path) -> str | None:
    """Return which file annotations should be made of anew, and how, as the end of a message.

    None if they are up to date, are the user's own, or nobody knows.
    """
    known = _known(data, annotations)
    if known is None:
        return None
    name, before = known
    today = {_shown(path, data): path for path in _sources(data, annotations)}
    changes = (
        f"{data.root / file} {how}"
        for file in sorted(before.keys() | today.keys())
        if (how := _change(today.get(file), before.get(file)))
    )
    first = next(changes, None)
    if first is None:
        return None
    root = shlex.quote(str(data.root))
    return (
        f"was made of other files: {first}; put that right, or run `pointrend-repro data prepare "
        f"--dataset {name} --data-root {root}`, after which the pipeline trains on it anew"
    )


def _prepared(data: DataPaths) -> list[Path]:
    if data.prepared_from is None:
        return []
    both = (data.train_annotations, data.val_annotations)
    return [path for path in both if path.parent == data.val_annotations.parent]


def _sources(data: DataPaths, annotations: Path) -> list[Path]:
    """Return the files that annotations are made of, as far as they exist."""
    if data.prepared_from != data.root:
        given = data.prepared_from
        return [given] if given is not None and given.is_file() else []
    split = "train" if annotations == data.train_annotations else "val"
    return list(data.root.glob(f"gtFine/{split}/*/*{label_ending('instanceIds')}"))


def _shown(path: Path, data: DataPaths) -> str:
    return path.relative_to(data.root).as_posix() if path.is_relative_to(data.root) else str(path)


def _note_path(data: DataPaths) -> Path:
    return data.val_annotations.with_name(_NOTE)


def _known(data: DataPaths, annotations: Path) -> tuple[str, _Files] | None:
    """Return a data set's name, and the files that its annotations were made of."""
    path = _note_path(data)
    if annotations not in _prepared(data) or not path.is_file():
        return None
    note = read_json(path)
    try:
        return str(note["dataset"]), dict(note["made_from"][annotations.name])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: is no note of `data prepare`; run that again") from None


def _change(path: Path | None, before: list[Any] | None) -> str | None:
    """Return what has happened to a file since, in words, or None."""
    if path is None:
        return "is gone"
    if before is None:
        return "is new"
    status = _status(path)
    same_size = status.st_size == before[0]
    same = same_size and (status.st_mtime_ns == before[1] or file_sha256(path) == before[2])
    return None if same else "has changed"


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:  # a link to nowhere
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
