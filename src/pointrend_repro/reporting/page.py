"""The page that a reviewer opens: `index.html`, one file that needs no network."""

from collections.abc import Mapping
from pathlib import Path

import jinja2
import pandas as pd

from pointrend_repro.experiments import Cost, Evaluation, Grid
from pointrend_repro.reporting import formats
from pointrend_repro.reporting.exports import notes
from pointrend_repro.reporting.figures import ShownFigure
from pointrend_repro.reporting.origins import anchor, collect_settings, trace_origins
from pointrend_repro.reporting.results import Result
from pointrend_repro.reporting.tables import STATUSES, MeasuredTable, Status
from pointrend_repro.schema import Preset

# A sign beside each word: a status must not be told by its colour alone.
_STATUS_WORDS: dict[Status, tuple[str, str]] = {
    "reproduced": ("✓", "reproduced"),
    "deviates": ("≠", "deviates"),
    "no-claim": ("○", "no claim"),
    "missing": ("–", "missing"),
}


def render_page(
    grid: Grid,
    tables: list[MeasuredTable],
    metrics: pd.DataFrame,
    results: Mapping[Evaluation | Cost, Result],
    *,
    figures: Mapping[str, ShownFigure | None],
    results_dir: Path,
    code_digest: str,
) -> str:
    """Return the page as HTML. The same results give the same text, byte for byte.

    Args:
        figures: by name, None for one that is not drawn yet.
        results_dir: the preset's folder, `results/<preset>`; logs are looked for there.
        code_digest: digest of today's code, to tell results of other code.
    """
    template = _environment().get_template("page.html.j2")
    return template.render(
        grid=grid,
        tables=tables,
        figures=figures,
        statuses=_STATUS_WORDS,
        counts={status: sum(t.counts[status] for t in tables) for status in STATUSES},
        conditions=_conditions(grid, metrics, results, code_digest),
        notes={table.name: notes(grid, table) for table in tables},
        origins=trace_origins(tables, results, results_dir=results_dir, code_digest=code_digest),
        settings=collect_settings(results),
        code_digest=code_digest,
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # by name, `.j2` would not count as HTML
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": formats.number,
        "signed": formats.signed,
        "duration": formats.duration,
        "memory": formats.memory,
        "commit": short_commit,
    }
    environment.globals |= {"anchor": anchor, "count": formats.count}
    return environment


def _conditions(
    grid: Grid,
    metrics: pd.DataFrame,
    results: Mapping[Evaluation | Cost, Result],
    code_digest: str,
) -> dict[str, list[str]]:
    """Return what all numbers of the page were made with and under, by heading."""
    trained = metrics.dropna(subset=["train_command"])
    trainings = trained.drop_duplicates(["dataset", "variant", "trial"])
    seconds = float(trainings["train_wall_s"].sum())
    done = f"{len(trainings)} of {formats.count(len(grid.trainings), 'training')}"
    time = f", {formats.duration(seconds)} of wall time" if len(trainings) else ""
    records = [step for result in results.values() for step in result.origin.steps.values()]
    days = sorted(record.started[:10] for record in records)
    names = sorted(grid.datasets)
    return {
        "Data": [f"{grid.datasets[name].title} ({name})" for name in names],
        "Scale": _scale(grid.preset),
        "Device": sorted({record.device for record in records}) or ["–"],
        "Training": [done + time],
        "Run": [" to ".join(dict.fromkeys([days[0], days[-1]]))] if days else ["not yet"],
        "Commit": sorted({short_commit(record.git_commit) for record in records}) or ["–"],
        "Code": [_code_state(list(results.values()), code_digest)],
    }


def _scale(preset: Preset) -> list[str]:
    """Return what the preset makes of the paper's models and schedules."""
    overrides = preset.overrides
    trunk = overrides.model.get("backbone", {}).get("name")
    updates = overrides.schedule.get("total_iters")
    lines = [f"trunk {trunk} in every detector"] if trunk else []
    lines += [f"{updates} updates of a detector"] if updates else []
    return lines or ["as in the paper"]


def _code_state(results: list[Result], code_digest: str) -> str:
    if not results:
        return "nothing measured yet"
    used = [{step.code_digest for step in result.origin.steps.values()} for result in results]
    older = sum(digests != {code_digest} for digests in used)
    if not older:
        return f"unchanged since the results were made ({code_digest})"
    others = ", ".join(sorted(set().union(*used) - {code_digest}))
    return (
        f"has changed: {older} of {formats.count(len(results), 'result')} made by other code "
        f"({others}) than today's ({code_digest})"
    )


def short_commit(commit: str | None) -> str:
    """Return a commit's first twelve digits, and say so if the tree held changes."""
    if commit is None:
        return "outside git"
    digits, _, changes = commit.partition("+")
    return digits[:12] + (f" + {changes}" if changes else "")
