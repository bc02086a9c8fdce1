"""What is read of the folder of a run, whose metric files may be gone."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.first_problem import first_problem
from pointrend_repro.reporting.claims.files import Verdict
from pointrend_repro.reporting.claims.intervals import Interval
from pointrend_repro.reporting.claims.needed_trials import Needed

CLAIMS_FILE = "claims.json"
CONDITIONS_FILE = "conditions.json"


class KeptPart(BaseModel):
    """One difference of a claim (`claims.files.JudgedPart`)."""

    text: str
    unit: str
    paper: float | None
    difference: float | None
    interval: Interval | None
    p_value: float | None
    verdict: Verdict
    reason: str


class KeptClaim(BaseModel):
    """A claim that a run has judged (`claims.files.JudgedClaim`)."""

    number: int
    name: str
    statement: str
    verdict: Verdict
    p_value: float | None
    survives_holm: bool | None
    needed: Needed | None
    parts: list[KeptPart]

    @property
    def weakest(self) -> KeptPart:
        """Of the differences with its verdict, that which is the least sure to be above 0."""
        decisive = [part for part in self.parts if part.verdict == self.verdict]
        return min(decisive, key=_sureness)


class KeptConditions(BaseModel):
    """How much of a run is done, and where (`reporting.conditions.Conditions`)."""

    trainings_done: int
    trainings_planned: int
    cpu_hours: float
    gpu_hours: float
    last_parts_only: bool = True  # as of all runs that were kept before they said so
    devices: list[str]


class KeptRun(BaseModel):
    """A run, by the name of its folder and in words."""

    folder: str
    seeds: str
    claims: dict[str, KeptClaim]
    conditions: KeptConditions


def read_kept(folder: Path) -> KeptRun:
    """Return the run of a folder, with its claims by name.

    Raises:
        UserError: a file is missing, or not what its name says.
    """
    claims = _read(folder / CLAIMS_FILE, TypeAdapter(list[KeptClaim]))
    return KeptRun(
        folder=folder.name,
        seeds=f"seed{folder.name.rpartition('_seed')[2]}".replace("_", " "),
        claims={claim.name: claim for claim in claims},
        conditions=_read(folder / CONDITIONS_FILE, TypeAdapter(KeptConditions)),
    )


def _read(path: Path, content: TypeAdapter[Any]) -> Any:
    try:
        return content.validate_python(read_json(path))
    except ValidationError as error:
        raise UserError(f"{path}: not what a run has kept ({first_problem(error)})") from None


def _sureness(part: KeptPart) -> float:
    if part.difference is None or part.interval is None:
        return part.difference or 0.0
    half = (part.interval.high - part.interval.low) / 2
    return part.difference / half if half else part.difference
