"""The one reader of metric files: what an evaluation wrote, checked against its schema."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointrend_repro.errors import UserError
from pointrend_repro.experiments import Evaluation, Grid
from pointrend_repro.files import read_json

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class _Frozen(BaseModel):
    """Read once, never changed. Keys that a later version adds do no harm."""

    model_config = ConfigDict(frozen=True)


class Record(_Frozen):
    """What `provenance.start_record` says of one step."""

    command: str
    settings: dict[str, Any]
    settings_digest: str
    seed: int | None
    device: str
    started: str
    wall_s: Number
    peak_memory_mb: Number
    git_commit: str | None
    code_digest: str
    versions: dict[str, str]


class Origin(_Frozen):
    """Which cell of the experiment grid a number belongs to, and the three steps that made it."""

    preset: str
    dataset: str
    variant: str
    trial: int
    inference: str
    train: Record
    predict: Record
    evaluate: Record

    @property
    def steps(self) -> dict[str, Record]:
        """The steps by name, in the order in which they ran."""
        return {"train": self.train, "predict": self.predict, "evaluate": self.evaluate}


class Result(_Frozen):
    """One metric file. A value of None means that there was nothing to score."""

    metric: str
    values: dict[str, Number | None]
    origin: Origin


def load_results(grid: Grid, results_dir: Path) -> dict[Evaluation, Result]:
    """Read the metric files of a preset that are there.

    Args:
        results_dir: the preset's folder, `results/<preset>`.

    Raises:
        UserError: a file is damaged, or holds the result of another experiment.
    """
    found = {}
    for evaluation in grid.evaluations:
        path = results_dir / evaluation.path
        if path.exists():
            found[evaluation] = _load(path, evaluation, grid.name)
    return found


def _load(path: Path, evaluation: Evaluation, preset: str) -> Result:
    try:
        result = Result.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{path}: not a metric file ({key}: {first['msg']}); delete it and evaluate again"
        ) from None
    # A file copied from elsewhere would lend its number a false origin.
    origin = result.origin
    says = (
        f"{origin.preset}/{origin.dataset}/{origin.variant}/trial{origin.trial}/"
        f"{origin.inference}/{result.metric}.json"
    )
    if says != f"{preset}/{evaluation.path}":
        raise UserError(f"{path}: holds the result of {says}; delete it and evaluate again")
    return result
