"""The pages that a reviewer opens: each is one file that needs no network."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from pointrend_repro.base.digests import short
from pointrend_repro.base.templates import page_templates
from pointrend_repro.base.texts import script_json
from pointrend_repro.config.papers import PaperFile
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting import briefs, formats, layout
from pointrend_repro.reporting.claims.judging import MIN_IMAGES
from pointrend_repro.reporting.claims.shown import ShownClaims
from pointrend_repro.reporting.classes import ClassTable
from pointrend_repro.reporting.conditions import Conditions, gpu_count
from pointrend_repro.reporting.exports import best_of_own, own_notes
from pointrend_repro.reporting.figures import ShownFigure
from pointrend_repro.reporting.links import Links
from pointrend_repro.reporting.origins import CellOrigin, anchor, collect_runs, collect_settings
from pointrend_repro.reporting.pictures.load import Pictures
from pointrend_repro.reporting.tables import STATUSES, MeasuredTable, Status

# A sign beside each word: a status must not be told by its colour alone.
_STATUS_WORDS: dict[Status, tuple[str, str]] = {
    "reproduced": ("✓", "reproduced"),
    "deviates": ("≠", "deviates"),
    "no-claim": ("○", "not judged"),
    "missing": ("–", "missing"),
}


@dataclass(frozen=True)
class Content:
    """What the page shows, all of it made beforehand.

    Attributes:
        figures: by name, None for one that is not drawn yet.
        classes: AP by class, of somebody's own data.
    """

    tables: Sequence[MeasuredTable]
    conditions: Conditions
    origins: Sequence[CellOrigin]
    figures: Mapping[str, ShownFigure | None]
    links: Links
    classes: Sequence[ClassTable] = ()


@dataclass(frozen=True)
class PaperEntry:
    """A paper on the page that leads to those of several.

    Attributes:
        path: of its own page, beside this one.
        figure: that stands for it; None if none is drawn yet.
    """

    about: PaperFile
    path: str
    tables: Sequence[MeasuredTable]
    claims: ShownClaims | None
    figure: ShownFigure | None

    @property
    def counts(self) -> dict[Status, int]:
        """How many cells have each status."""
        return {status: sum(t.counts[status] for t in self.tables) for status in STATUSES}


def render_first_page(grid: Grid, entries: Sequence[PaperEntry], conditions: Conditions) -> str:
    """Return the page that leads to those of several papers, as HTML."""
    return (
        _environment()
        .get_template("first_page.html.j2")
        .render(grid=grid, entries=entries, conditions=_in_words(conditions))
    )


def render_page(
    grid: Grid,
    content: Content,
    *,
    claims: ShownClaims | None,
    pictures: Pictures | None,
    has_others: bool,
) -> str:
    """Return a paper's page as HTML. The same results give the same text, byte for byte.

    Args:
        grid: of one paper.
        claims: None leaves them out.
        pictures: None leaves them out.
        has_others: whether there are pages of other papers, to which `index.html` leads.
    """
    template = _environment().get_template("page.html.j2")
    runs = collect_runs(content.origins)
    return template.render(
        grid=grid,
        paper=next(iter(grid.papers.values())).about,
        has_others=has_others,
        own_data=is_own(content.tables),
        own_titles=" and ".join(grid.datasets[name].title for name in sorted(grid.datasets)),
        links=content.links,
        classes=content.classes,
        tables=content.tables,
        figures=content.figures,
        conditions=_in_words(content.conditions),
        origins=content.origins,
        origin_of={origin.anchor: origin for origin in content.origins},
        runs=runs,
        settings=collect_settings(runs),
        counts={status: sum(t.counts[status] for t in content.tables) for status in STATUSES},
        notes={table.name: own_notes(grid, table) for table in content.tables},
        claims=claims,
        pictures=pictures,
    )


def is_own(tables: Sequence[MeasuredTable]) -> bool:
    """Tell whether a report is about somebody's own data: no paper has a number of it."""
    return bool(tables) and not any(table.published for table in tables)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = page_templates(Path(__file__).parent)
    environment.globals["min_images"] = MIN_IMAGES
    environment.filters |= {
        "number": formats.number,
        "printed": formats.printed,
        "signed": formats.signed,
        "device": formats.device,
        "duration": formats.duration,
        "memory": formats.memory,
        "commit": formats.commit,
        "commits": briefs.commits,
        "ran": briefs.ran,
        "decimals": formats.decimals,
        "script_json": script_json,
        "short_digest": short,
        "between": formats.between,
        "spelled": formats.spelled,
    }
    environment.globals |= {
        "anchor": anchor,
        "best_of_own": best_of_own,
        "count": formats.count,
        "gpu_count": gpu_count,
        "statuses": _STATUS_WORDS,
        "heading_lines": layout.heading_lines,
        "stub": layout.stub,
    }
    return environment


def _in_words(conditions: Conditions) -> dict[str, list[str]]:
    """Return what all numbers of the page were made with and under, by heading."""
    days = dict.fromkeys(day for day in (conditions.first_day, conditions.last_day) if day)
    commits = [formats.commit(commit) for commit in conditions.commits]
    return {
        "Data": [f"{title} ({name})" for name, title in conditions.datasets.items()]
        + ([conditions.data] if conditions.results else []),
        "Scale": list(conditions.scale) or ["as in the paper"],
        "Settings": [conditions.settings],
        "Hardware": _hardware(conditions.devices) or ["–"],
        "Training": _training(conditions),
        "Dates": [" to ".join(days) or "not run yet"],
        "Commit": commits or ["–"],
        "Code": [_code_state(conditions)],
        "Numbers": [conditions.numbers if conditions.results else "nothing measured yet"],
    }


def _hardware(devices: Sequence[str]) -> list[str]:
    """Return each device once: steps that need no torch do not say how many threads they had."""
    told = [formats.device(device) for device in devices]
    return [
        device
        for device in told
        if not any(other.startswith(device.removesuffix(")") + ", ") for other in told)
    ]


def _training(conditions: Conditions) -> list[str]:
    planned = formats.count(conditions.trainings_planned, "training")
    spent = []
    last = ["of interrupted trainings the last part"] if conditions.last_parts_only else []
    if conditions.gpu_hours:
        said = f" ({last[0]})" if last else ""
        spent.append(f"{_hours(conditions.gpu_hours, 'GPU-hours', 'on a GPU')}{said}")
    if conditions.cpu_hours:
        said = "; ".join(["wall time", *last])
        spent.append(f"{_hours(conditions.cpu_hours, 'hours on CPUs', 'on a CPU')} ({said})")
    return [f"{conditions.trainings_done} of {planned}", *spent]


def _hours(hours: float, unit: str, where: str) -> str:
    if hours < 1:
        return f"{formats.duration(hours * 3600)} {where}"
    return f"{hours:,.0f} {unit}" if hours >= 10 else f"{hours:.1f} {unit}"


def _code_state(conditions: Conditions) -> str:
    made, other = conditions.results, conditions.results_of_other_code
    if not made:
        return "nothing measured yet"
    if not other:
        return f"unchanged since the results were made ({conditions.code_digest})"
    # Any module that a step ran through counts, so after some development there are many states.
    codes = conditions.other_codes
    told = ", ".join(codes) if len(codes) <= 3 else f"{len(codes)} states of it, named by each step"
    were = "was" if other == 1 else "were"
    return (
        f"changed since {other} of {formats.count(made, 'result')} {were} made "
        f"({told}; today's is {conditions.code_digest})"
    )
