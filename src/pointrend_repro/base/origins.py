"""The record beside a result, and whether the result is what it describes.

That of `model.safetensors` is `model.origin.json`.

A record holds, for each step that led to the result, the digest of what the step wrote
(`output_digest`) and of what it read (`input_digest`), so that a number can be followed back to its
predictions, and these to their model. Records from before digests were kept have neither: the files
that they describe are accepted as they are.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import safetensors

from pointrend_repro.base.digests import content_digest, short
from pointrend_repro.base.errors import DamagedError, UnreadError, UserError
from pointrend_repro.base.files import RECORD_ENDING, read_json, write_json
from pointrend_repro.base.json_text import parse_json

_log = logging.getLogger(__name__)

# The key under which a model's file keeps its settings.
METADATA_KEY = "pointrend_repro"

# The steps whose results are read by other steps.
Maker = Literal["train", "predict"]
_AGAIN: dict[Maker, str] = {"train": "train it again", "predict": "predict again"}
_FIRST: dict[Maker, str] = {"train": "train the model first", "predict": "predict first"}


class Recorded(NamedTuple):
    """A result that matches its record: the record, and the result's digest."""

    origin: dict[str, Any]
    digest: str


def origin_path(result: Path) -> Path:
    """Return the path of a result's origin: `model.safetensors` has `model.origin.json`."""
    return result.with_suffix(RECORD_ENDING)


@contextlib.contextmanager
def origin_written_last(result: Path, origin: Callable[[str], dict[str, Any]]) -> Iterator[None]:
    """Let the block write `result`; if it fails, no older result is left with the wrong record.

    Args:
        origin: makes the record from the digest of `result`.
    """
    path = origin_path(result)
    path.unlink(missing_ok=True)
    yield
    write_json(path, origin(content_digest(result)))


def require_as_recorded(result: Path, step: Maker) -> Recorded:
    """Return the record of a result after checking that the result matches it.

    Args:
        step: the step that made it.

    Raises:
        DamagedError: the record is none, or the result does not match it.
        UserError: the result or its record is missing, or the system cannot read it.
    """
    path = origin_path(result)
    origin = _read(path, result, step)
    found = content_digest(result)
    made = origin.get(step)
    made = made if isinstance(made, dict) else {}
    recorded = made.get("output_digest")
    if recorded is None:
        wrong = _wrong_without_digest(result, made)
        if wrong:
            raise DamagedError(f"{result}: {wrong}", (result, path), _AGAIN[step])
        if made:
            _log.info("%s: made before digests were kept; taken as it is", result)
    elif recorded != found:
        problem = (
            f"{result}: is not what {path.name} beside it describes "
            f"(sha256 {short(found)}..., recorded {short(str(recorded))}...)"
        )
        raise DamagedError(problem, (result, path), f"put the right file back, or {_AGAIN[step]}")
    return Recorded(origin, found)


def require_as_recorded_if_known(model: Path) -> None:
    """Refuse a trained model that does not match the record beside it, if it has one.

    Raises:
        DamagedError, UserError: as for `require_as_recorded`.
    """
    if model.is_file() and origin_path(model).is_file():
        require_as_recorded(model, "train")


def require_model_of(model: Path, asked: Mapping[str, Any]) -> None:
    """Refuse a model of another training than the requested one.

    Args:
        asked: `dataset`, `variant` and the like. The trial is taken from a folder `trial<k>` above
            the model, if there is one.

    Raises:
        DamagedError: the record cannot be read.
        UserError: the model is of another training, or has no record.
    """
    origin = _read(origin_path(model), model, "train")
    folder = re.fullmatch(r"trial(\d+)", model.absolute().parent.name)
    expected = ({"trial": int(folder[1])} if folder else {}) | dict(asked)
    advice = "; give the model that was asked for, or move both files away and train it"
    require_of(model, expected | origin, expected, advice)


def require_of(
    result: Path, recorded: Mapping[str, Any], asked: Mapping[str, Any], advice: str = ""
) -> None:
    """Refuse a result whose record says of some keys something else than what was asked for.

    Args:
        advice: what the error ends with.

    Raises:
        UserError: with the keys that differ, as recorded and as asked for.
    """
    other = [key for key, value in asked.items() if recorded.get(key) != value]
    if other:
        is_of, not_of = (
            ", ".join(f"{key} {values.get(key)}" for key in other) for values in (recorded, asked)
        )
        raise UserError(
            f"{result}: is of {is_of}, not of {not_of}, by the record beside it{advice}"
        )


def _read(path: Path, result: Path, step: Maker) -> dict[str, Any]:
    if not result.exists():
        raise UserError(f"{result}: no such file; {_FIRST[step]}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        origin = read_json(path)
    except UnreadError:
        raise
    except UserError as error:
        raise DamagedError(str(error), (result, path), _AGAIN[step]) from None
    if not isinstance(origin, dict):
        raise DamagedError(f"{path}: not the record of a result", (result, path), _AGAIN[step])
    return origin


def _wrong_without_digest(result: Path, made: Mapping[str, Any]) -> str:
    """Return the fault of a result that shows without a digest; empty if there is none.

    Args:
        made: the record of the step that made it.
    """
    if result.suffix == ".safetensors":
        try:
            with safetensors.safe_open(result, "numpy") as file:
                settings = parse_json((file.metadata() or {})[METADATA_KEY])["model"]
        except (safetensors.SafetensorError, OSError):
            return "is not whole"
        except (KeyError, TypeError, ValueError, RecursionError):
            return ""  # not one of ours: loading it reports that
        trained = made.get("settings")
        expected = trained.get("model", settings) if isinstance(trained, dict) else settings
        return "" if expected == settings else "is a model of other settings than its record says"
    if result.suffix == ".json":
        with result.open("rb") as stream:
            stream.seek(max(0, result.stat().st_size - 64))
            return "" if stream.read().rstrip().endswith(b"]") else "is not whole"
    return ""
