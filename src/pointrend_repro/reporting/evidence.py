"""A preset's outcome as files to keep in the repository: numbers, claims, conditions, and a page.

Nothing in it is written by hand but what stands outside the two marks of the page.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pointrend_repro.base.damaged import made_anew
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_json, write_text
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.claims.files import FOLDER as CLAIMS_FOLDER
from pointrend_repro.reporting.claims.files import (
    JudgedClaim,
    JudgedPart,
    claims_as_data,
    read_claims,
)
from pointrend_repro.reporting.claims.shown import (
    VERDICT_WORDS,
    holm_in_words,
    needed_in_words,
    p_in_words,
)
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.collect import metrics_frame
from pointrend_repro.reporting.conditions import Conditions, gather_conditions
from pointrend_repro.reporting.formats import signed
from pointrend_repro.reporting.results import load_results

BEGIN = "<!-- from here on written by `pointrend-repro evidence` -->"
END = "<!-- up to here -->"

# Of metrics.csv: what a number is and what made it. Commands and times stay with the results.
_COLUMNS = [
    *("dataset", "variant", "trial", "inference", "metric", "key", "value", "unit"),
    *("settings_digest", "code_digest", "state"),
]


def write_evidence(grid: Grid, results_dir: Path, docs: Path) -> None:
    """Write `evidence/{metrics.csv,claims.json,conditions.json}` and a part of `evidence.md`.

    Args:
        results_dir: the preset's folder, `results/<preset>`, with its claims judged.
        docs: the folder of both. Of `evidence.md`, what lies outside the two marks is kept.

    Raises:
        DamagedError: a metric or a claim cannot be read.
        UserError: no claim was judged, or one was judged by other numbers; or `evidence.md` has
            not both marks.
    """
    results = load_results(grid, results_dir)
    with made_anew(results_dir / CLAIMS_FOLDER):
        claims = read_claims(grid.name, results, results_dir)
    if not claims:
        raise UserError(f"{results_dir / CLAIMS_FOLDER}: no claims; judge them first")
    conditions = gather_conditions(grid, results, code=TodaysCode())
    page = docs / "evidence.md"
    text = _between_marks(page, _tables(claims, conditions))
    folder = docs / "evidence"
    metrics = metrics_frame(results)[_COLUMNS]
    write_text(folder / "metrics.csv", metrics.to_csv(index=False, float_format="%.4f"))
    write_json(folder / "claims.json", claims_as_data(claims))
    write_json(folder / "conditions.json", asdict(conditions))
    write_text(page, text)


def _between_marks(page: Path, content: str) -> str:
    before, after = "# Evidence\n\n", "\n"
    if page.is_file():
        old = page.read_text(encoding="utf-8")
        if not (old.count(BEGIN) == old.count(END) == 1 and old.index(BEGIN) < old.index(END)):
            raise UserError(f"{page}: must have one line {BEGIN!r} and, below it, one {END!r}")
        before, after = old.split(BEGIN)[0], old.split(END)[1]
    return f"{before}{BEGIN}\n{content}{END}{after}"


def _tables(claims: Sequence[JudgedClaim], conditions: Conditions) -> str:
    verdicts = [claim.verdict for claim in claims]
    counts = [
        f"{word}: {verdicts.count(verdict)}"
        for verdict, (_, word) in VERDICT_WORDS.items()
        if verdict in verdicts
    ]
    made = (
        f"{conditions.trainings_done} of {conditions.trainings_planned} trainings, "
        f"{conditions.cpu_hours:.1f} hours on CPUs and {conditions.gpu_hours:.1f} on GPUs "
        f"({', '.join(conditions.devices)})."
    )
    lines = [f"{len(claims)} claims; {', '.join(counts)}. {made}", ""]
    lines += [
        "| claim | weakest difference | paper | measured (95 % interval) | verdict | notes |",
        "|---|---|---:|---:|---|---|",
        *map(_claim_row, claims),
        "",
        "All differences:",
        "",
        "| difference | paper | measured (95 % interval) | verdict | p |",
        "|---|---:|---:|---|---|",
        *(_part_row(part) for claim in claims for part in claim.parts),
        "",
    ]
    return "\n".join(lines)


def _claim_row(claim: JudgedClaim) -> str:
    weakest = _weakest(claim)
    more = (p_in_words(claim.p_value), holm_in_words(claim), needed_in_words(claim.needed))
    sign, word = VERDICT_WORDS[claim.verdict]
    cells = [claim.statement, weakest.text, *_numbers(weakest), f"{sign} {word}"]
    return _row([*cells, "; ".join(filter(None, more)) or weakest.reason])


def _weakest(claim: JudgedClaim) -> JudgedPart:
    """Of the differences with the claim's verdict, that which is the least sure to be above 0."""
    decisive = [part for part in claim.parts if part.verdict == claim.verdict]

    def sureness(part: JudgedPart) -> float:
        if part.difference is None or part.interval is None:
            return part.difference or 0.0
        half = (part.interval.high - part.interval.low) / 2
        return part.difference / half if half else part.difference

    return min(decisive, key=sureness)


def _part_row(part: JudgedPart) -> str:
    sign, word = VERDICT_WORDS[part.verdict]
    return _row([part.text, *_numbers(part), f"{sign} {word}", p_in_words(part.p_value)])


def _numbers(part: JudgedPart) -> tuple[str, str]:
    unit = "" if part.unit == "%" else f" {part.unit}"
    paper = "–" if part.paper is None else signed(part.paper) + unit
    if part.difference is None:
        return paper, "–"
    here = signed(part.difference) + unit
    if part.interval is None:
        return paper, here
    return paper, f"{here} ({signed(part.interval.low)} to {signed(part.interval.high)})"


def _row(cells: Sequence[str]) -> str:
    plain = [re.sub(r"([|*<>])", r"\\\1", cell) for cell in cells]
    return f"| {' | '.join(plain)} |"
