"""The jobs of a preset by rule, done and to do, in the order in which they run."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import (
    METRICS_FILE,
    ORIGINS_FILE,
    PAGE_FILE,
    UNTRAINED,
    Evaluation,
    data_today_path,
    dataset_path,
    evaluation_rule,
    page_paths,
    prediction_rule,
)
from pointrend_repro.experiments.shown import datasets_shown, scores_shown, trainings_shown
from pointrend_repro.pipeline.planning.progress import Progress

_FIGURE_FILES = (".png", ".pdf", ".json")


@dataclass(frozen=True)
class RuleCount:
    """How many jobs of a rule are done and to do."""

    rule: str
    done: int
    to_do: int


@dataclass(frozen=True)
class Places:
    """Folders to look at.

    Attributes:
        results: `results/<preset>`.
        reports: `reports/<preset>`.
        config: `config/`.
        own_data: layouts of which the user names a folder of their own.
    """

    results: Path
    reports: Path
    config: Path
    own_data: frozenset[str] = frozenset()


def count_jobs(
    grid: Grid, progress: Progress, places: Places, fetched: Iterable[Path]
) -> list[RuleCount]:
    """Count the jobs of each rule of the pipeline.

    Args:
        fetched: records of the downloads that the preset needs.
    """
    states = _of_data(grid, places, fetched)
    states["train"] = [progress.is_trained(t) for t in grid.trainings]
    states |= _of_predictions(grid, progress)
    for metrics, scored in grid.scored_by.items():
        states[evaluation_rule(metrics)] = [
            all(progress.evaluations[Evaluation(p, metric)] for metric in metrics) for p in scored
        ]
    for metric in grid.counted:
        done = [made for cost, made in progress.costs.items() if cost.metric == metric]
        states[METRICS.find(metric).rule] = done
    states |= _of_pictures(grid, progress, places)
    states |= _of_report(grid, places, all_made=all(all(done) for done in states.values()))
    return [RuleCount(rule, sum(s), len(s) - sum(s)) for rule, s in states.items() if s]


def _of_data(grid: Grid, places: Places, fetched: Iterable[Path]) -> dict[str, list[bool]]:
    drawn = [Path(d.root) for d in grid.datasets.values() if d.generate and d.root]
    prepared = [name for name, d in grid.datasets.items() if d.layout == "cityscapes"]
    split = [name for name, d in grid.datasets.items() if d.val_from_train is not None]
    first = [name for name, d in grid.datasets.items() if d.val_first is not None]
    return {
        "fetch_data": [record.is_file() for record in fetched],
        "generate_data": [folder.is_dir() for folder in drawn],
        "prepare_cityscapes": [_is_prepared(name) for name in prepared],
        "prepare_first_images": [
            (Path("data") / f"{name}_first" / "instances_val.json").is_file() for name in first
        ],
        "prepare_own_split": [
            (Path("data") / f"{name}_parts" / "instances_val.json").is_file() for name in split
        ],
        "check_data": [(places.results / dataset_path(d)).is_file() for d in grid.datasets],
    }


def _of_predictions(grid: Grid, progress: Progress) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for prediction, done in progress.predictions.items():
        rule = prediction_rule(prediction, grid.kind_of(prediction))
        rule += "" if grid.models_of(prediction) else UNTRAINED
        found.setdefault(rule, []).append(done)
    return dict(sorted(found.items()))


def _of_pictures(grid: Grid, progress: Progress, places: Places) -> dict[str, list[bool]]:
    figures, pictures = places.reports / "figures", places.reports / "pictures"
    thinned = [(pictures / "curves.csv").is_file()] if "curves" in grid.preset.pictures else []
    return {
        "draw_figure": [
            all(map(progress.is_trained, trainings_shown(grid, grid.drawn.figures[name]).values()))
            and _are_scored(grid, progress, name)
            and _are_checked(grid, places, name)
            and all((figures / f"{name}{ending}").is_file() for ending in _FIGURE_FILES)
            for name in grid.preset.figures
        ],
        "draw_picture": [
            all(map(progress.is_trained, trainings_shown(grid, grid.drawn.pictures[name]).values()))
            and (pictures / f"{name}.json").is_file()
            for name in grid.drawn_pictures
        ],
        "thin_logs": [done and all(map(progress.is_trained, grid.trainings)) for done in thinned],
    }


def _are_scored(grid: Grid, progress: Progress, figure: str) -> bool:
    made = progress.evaluations | progress.costs
    return all(made[score] for score in scores_shown(grid, grid.drawn.figures[figure]).values())


def _are_checked(grid: Grid, places: Places, figure: str) -> bool:
    names = datasets_shown(grid, grid.drawn.figures[figure]).values()
    return all((places.results / dataset_path(name)).is_file() for name in names)


def _of_report(grid: Grid, places: Places, *, all_made: bool) -> dict[str, list[bool]]:
    files = [places.results / name for name in (METRICS_FILE, ORIGINS_FILE)]
    collected = all_made and all(file.is_file() for file in files)
    others = [name for name, dataset in grid.datasets.items() if not dataset.generate]
    checked = [collected and (places.results / data_today_path(d)).is_file() for d in others]
    judged = collected and (places.results / "claims").is_dir()
    reported = judged and all(checked) and _are_written(grid, places.reports)
    return {
        "collect": [collected],
        "check_data_again": checked,
        "judge_claims": [judged],
        "report": [reported],
    }


def _are_written(grid: Grid, folder: Path) -> bool:
    pages = {PAGE_FILE, *page_paths(list(grid.papers)).values()}
    return all((folder / page).is_file() for page in pages)


def _is_prepared(dataset: str) -> bool:
    folder = Path("data") / f"{dataset}_instances"
    return all((folder / f"instances_{split}.json").is_file() for split in ("train", "val"))
