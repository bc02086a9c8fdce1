"""A run's judged claims as Markdown tables."""

import re
from collections.abc import Sequence

from pointrend_repro.reporting.claims.files import JudgedClaim, JudgedPart
from pointrend_repro.reporting.claims.shown import (
    VERDICT_WORDS,
    holm_in_words,
    needed_in_words,
    p_in_words,
)
from pointrend_repro.reporting.conditions import Conditions
from pointrend_repro.reporting.formats import signed


def tables(title: str, claims: Sequence[JudgedClaim], conditions: Conditions) -> str:
    """Return Markdown: a line on the run, a row for each claim, and one for each difference."""
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
    lines = [f"## Run {title}", "", f"{len(claims)} claims; {', '.join(counts)}. {made}", ""]
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
    return row([*cells, "; ".join(filter(None, more)) or weakest.reason])


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
    return row([part.text, *_numbers(part), f"{sign} {word}", p_in_words(part.p_value)])


def _numbers(part: JudgedPart) -> tuple[str, str]:
    unit = "" if part.unit == "%" else f" {part.unit}"
    paper = "–" if part.paper is None else signed(part.paper) + unit
    if part.difference is None:
        return paper, "–"
    here = signed(part.difference) + unit
    if part.interval is None:
        return paper, here
    return paper, f"{here} ({signed(part.interval.low)} to {signed(part.interval.high)})"


def row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    plain = [re.sub(r"([|*<>])", r"\\\1", cell) for cell in cells]
    return f"| {' | '.join(plain)} |"
