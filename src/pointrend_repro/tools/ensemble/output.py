"""Where an ensemble may be written: over no other file, and over no other file's record."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import is_there, reading_errors, require_other
from pointrend_repro.base.origins import origin_path, require_as_recorded
from pointrend_repro.predictions.pooling import Result


def require_output(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output whose name or record belongs to something else, before anything is read.

    A record's name has no ending of its result, so `a.json` and `a.pooled` would share one.

    Raises:
        UserError: the output is a folder, an input, a record, no `.json`, or a file that holds no
            predictions; or its record is of another file.
    """
    is_there(output)
    if output.suffix.lower() != ".json":
        raise UserError(f"{output}: results in COCO's format are .json; call it so")
    require_other(output, inputs)
    if output.exists() and not _is_list(output):
        raise UserError(f"{output}: exists, and is no list of predictions; choose another output")
    record = origin_path(output)
    for path in inputs:
        # A name without an ending, such as that of a folder, has no record.
        if path.name and origin_path(path).resolve() == record.resolve():
            raise UserError(f"{output}: would have the record of {path}; choose another output")
    if record.exists() and not _is_record_of(output):
        raise UserError(
            f"{record}: is not the record of {output} as it is, and would be replaced; choose "
            "another output, or move it away"
        )


def _is_list(path: Path) -> bool:
    with reading_errors(path), path.open("rb") as stream:
        return stream.read(1000).lstrip()[:1] in (b"[", b"")


def _is_record_of(result: Path) -> bool:
    try:
        return "predict" in require_as_recorded(result, "predict").origin
    except UserError:
        return False


def forgetting(entries: Iterable[Result], output: Path) -> Iterator[Result]:
    """Yield entries; when they have all been made, remove the record of an older `output`.

    An error before that leaves both. The new record is written after the new output, so that none
    is ever beside another's.
    """
    yield from entries
    origin_path(output).unlink(missing_ok=True)
