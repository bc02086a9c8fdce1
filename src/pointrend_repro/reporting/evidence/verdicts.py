"""The verdicts of several runs of a preset beside each other: which of them moved."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.reporting.claims.files import Verdict
from pointrend_repro.reporting.claims.shown import VERDICT_WORDS, p_in_words
from pointrend_repro.reporting.evidence.tables import row
from pointrend_repro.reporting.formats import count

CLAIMS_FILE = "claims.json"


class KeptClaim(BaseModel):
    """What is read of a claim that a run has kept."""

    number: int
    name: str
    statement: str
    verdict: Verdict
    p_value: float | None = None


def read_kept(folder: Path) -> dict[str, KeptClaim]:
    """Return the claims of a run's folder by name.

    Raises:
        UserError: the file is missing, or not of claims.
    """
    path = folder / CLAIMS_FILE
    try:
        claims = TypeAdapter(list[KeptClaim]).validate_python(read_json(path))
    except ValidationError as error:
        raise UserError(f"{path}: not of claims ({error.errors()[0]['msg']})") from None
    return {claim.name: claim for claim in claims}


def verdicts_of_runs(preset: str, runs: Mapping[str, Mapping[str, KeptClaim]]) -> str:
    """Return Markdown: a line on what moved, and a table with a column for each run.

    Args:
        runs: the claims of each run by name, by the run's title, in the columns' order.
    """
    claims = {name: claim for kept in runs.values() for name, claim in kept.items()}
    names = sorted(claims, key=lambda name: claims[name].number)
    lines = [f"## Verdicts of preset {preset}", ""]
    if len(runs) > 1:
        lines += [_moved([[r[name] for r in runs.values() if name in r] for name in names]), ""]
    lines += [row(["claim", *runs]), "|---" * (1 + len(runs)) + "|"]
    for name in names:
        cells = (_cell(kept.get(name)) for kept in runs.values())
        lines.append(row([claims[name].statement, *cells]))
    return "\n".join([*lines, ""])


def _moved(by_claim: Sequence[Sequence[KeptClaim]]) -> str:
    """Say how many verdicts agree. Counts, which no training changes, are not among them."""
    judged = [[claim.verdict for claim in runs if claim.p_value is not None] for runs in by_claim]
    twice = [set(verdicts) for verdicts in judged if len(verdicts) > 1]
    moved = [verdicts for verdicts in twice if len(verdicts) > 1]
    opposite = sum({"holds", "does-not-hold"} <= verdicts for verdicts in moved)
    said = f"{count(len(twice), 'claim')} about trainings judged in more than one run"
    if not moved:
        return f"{said}, none with another verdict."
    same = len(twice) - len(moved)
    return f"{said}: {same} with the same verdict, {len(moved)} with another, {opposite} opposite."


def _cell(claim: KeptClaim | None) -> str:
    if claim is None:
        return ""
    sign, word = VERDICT_WORDS[claim.verdict]
    return ", ".join(filter(None, [f"{sign} {word}", p_in_words(claim.p_value)]))
