"""Kept runs as Markdown: all of one, and the verdicts of a preset's runs beside each other."""

import re
from collections.abc import Sequence

from pointrend_repro.reporting.claims.shown import (
    VERDICT_WORDS,
    holm_in_words,
    needed_in_words,
    p_in_words,
)
from pointrend_repro.reporting.evidence.kept import KeptClaim, KeptPart, KeptRun
from pointrend_repro.reporting.formats import count, signed
from pointrend_repro.reporting.markdown import escaped, table_row


def page_of_run(preset: str, run: KeptRun) -> str:
    """Return the page of a run: a row for each claim, and one for each difference."""
    lines = [
        f"# Preset {preset}, {run.seeds}",
        "",
        "Written by `pointrend-repro evidence`; [evidence](../../evidence.md) says what it is.",
        "",
        _made(run),
        "",
        "| claim | weakest difference | paper | measured (95 % interval) | verdict | notes |",
        "|---|---|---:|---:|---|---|",
        *map(_claim_row, run.claims.values()),
        "",
        "All differences:",
        "",
        "| difference | paper | measured (95 % interval) | verdict | p |",
        "|---|---:|---:|---|---|",
        *(_part_row(part) for claim in run.claims.values() for part in claim.parts),
        "",
    ]
    return "\n".join(lines)


def verdicts_of_runs(preset: str, runs: Sequence[KeptRun]) -> str:
    """Return Markdown: a line on each run and on what moved, and a table with a column for each."""
    claims = {name: claim for run in runs for name, claim in run.claims.items()}
    names = sorted(claims, key=lambda name: claims[name].number)
    lines = [f"## Verdicts of preset {preset}", ""]
    for run in runs:
        link = f"[All differences](evidence/{run.folder}/README.md)"
        lines.append(f"- **{run.seeds.capitalize()}**: {_made(run)} {link}.")
    if len(runs) > 1:
        judged = [[run.claims[name] for run in runs if name in run.claims] for name in names]
        lines += ["", _moved(judged)]
    lines += ["", _row(["claim", *(run.seeds for run in runs)]), "|---" * (1 + len(runs)) + "|"]
    for name in names:
        of_runs = [run.claims.get(name) for run in runs]
        judged_ones = [c for c in of_runs if c and c.verdict != "not-measured"]
        named = {part.text for claim in judged_ones for part in claim.parts}
        cells = (_cell(claim, is_named=len(named) > 1) for claim in of_runs)
        lines.append(_row([claims[name].statement, *cells]))
    return "\n".join([*lines, ""])


def _made(run: KeptRun) -> str:
    made, verdicts = run.conditions, [claim.verdict for claim in run.claims.values()]
    counts = [
        f"{word}: {verdicts.count(verdict)}"
        for verdict, (_, word) in VERDICT_WORDS.items()
        if verdict in verdicts
    ]
    hours = {"hours of wall time on CPUs": made.cpu_hours, "GPU-hours": made.gpu_hours}
    spent = " and ".join(f"{time:.1f} {what}" for what, time in hours.items() if time)
    if made.last_parts_only and spent:
        spent += ", of interrupted trainings the last part only"
    spent = spent or "no hours"
    devices = sorted({re.sub(r", \d+ threads?", "", device) for device in made.devices})
    devices = [re.sub(r"^cpu \((.*)\)$", r"\1", device) for device in devices]
    return (
        f"{made.trainings_done} of {made.trainings_planned} trainings, {spent} "
        f"({', '.join(devices)}). {count(len(verdicts), 'claim')}; {', '.join(counts)}."
    )


def _claim_row(claim: KeptClaim) -> str:
    weakest = claim.weakest
    sign, word = VERDICT_WORDS[claim.verdict]
    notes = [
        weakest.reason,
        p_in_words(claim.p_value),
        holm_in_words(claim.verdict, survives=claim.survives_holm),
        needed_in_words(claim.needed),
    ]
    cells = [claim.statement, weakest.text, *_numbers(weakest), f"{sign} {word}"]
    return _row([*cells, "; ".join(filter(None, notes))])


def _part_row(part: KeptPart) -> str:
    sign, word = VERDICT_WORDS[part.verdict]
    return _row([part.text, *_numbers(part), f"{sign} {word}", p_in_words(part.p_value)])


def _cell(claim: KeptClaim | None, *, is_named: bool) -> str:
    """Say a verdict, by which difference, and what the paper has in its place.

    Args:
        claim: of one run; None if it has not judged it.
        is_named: whether to name the difference, as where a claim has several.
    """
    if claim is None:
        return ""
    sign, word = VERDICT_WORDS[claim.verdict]
    if claim.verdict == "not-measured":
        return f"{sign} {word}"
    paper, here = _numbers(claim.weakest)
    holm = holm_in_words(claim.verdict, survives=claim.survives_holm)
    name = f" in {claim.weakest.text}" if is_named else ""
    said = [
        f"{sign} {word}: {here}{name}",
        "" if paper == "–" else f"paper {paper}",
        claim.weakest.reason,
        holm,
    ]
    return "; ".join(filter(None, said))


def _moved(by_claim: Sequence[Sequence[KeptClaim]]) -> str:
    """Say how many verdicts agree. Counts, which no training changes, are not among them."""
    judged = [[claim.verdict for claim in runs if claim.p_value is not None] for runs in by_claim]
    twice = [set(verdicts) for verdicts in judged if len(verdicts) > 1]
    moved = [verdicts for verdicts in twice if len(verdicts) > 1]
    opposite = sum({"holds", "does-not-hold"} <= verdicts for verdicts in moved)
    said = f"{count(len(twice), 'claim')} about trainings judged in more than one run"
    if not moved:
        return f"{said}, none with a different verdict."
    same = f"{len(twice) - len(moved)} with the same verdict"
    return f"{said}: {same}, {len(moved)} with a different one, {opposite} opposite."


def _numbers(part: KeptPart) -> tuple[str, str]:
    unit = "" if part.unit == "%" else f" {part.unit}"
    paper = "–" if part.paper is None else signed(part.paper) + unit
    if part.difference is None:
        return paper, "–"
    here = signed(part.difference) + unit
    if part.interval is None:
        return paper, here
    return paper, f"{here} ({signed(part.interval.low)} to {signed(part.interval.high)})"


def _row(cells: Sequence[str]) -> str:
    return table_row(map(escaped, cells))
