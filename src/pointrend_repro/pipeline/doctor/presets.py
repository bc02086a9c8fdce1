"""What a preset needs before it can run: data, weights, a GPU, an engine, space."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.reading import load_preset
from pointrend_repro.data.fetch.catalogue import Catalogue, how_to_fetch
from pointrend_repro.data.fetch.planning import DownloadPlan
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.declarations.metric import Layout
from pointrend_repro.experiments.choosing import chosen_papers, tables_of
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.doctor.machine import gpus, lacking_for_gpus
from pointrend_repro.pipeline.planning.disk import estimate_disk, free_bytes
from pointrend_repro.pipeline.planning.downloads import list_downloads, wanted_paths
from pointrend_repro.pipeline.planning.published import Speeds
from pointrend_repro.pipeline.planning.speeds import model_speed


@dataclass(frozen=True)
class Needs:
    """What a preset lacks, and what it would fetch by itself."""

    missing: tuple[str, ...]
    fetched: tuple[str, ...] = ()


@dataclass(frozen=True)
class Here:
    """What is looked at: the configuration, the user's own folders by layout, and papers.

    Attributes:
        papers: whose tables are to be filled; none: those of each preset.
    """

    config_dir: Path
    catalogue: Catalogue
    speeds: Speeds
    own: dict[Layout, Path]
    papers: Sequence[str] = ()


def fills_tables(preset: str, here: Here) -> bool:
    """Return whether a preset has a table of the papers that are asked for.

    Raises:
        UserError: there is no such paper, or the preset cannot be read.
    """
    whole = load_preset(preset, here.config_dir)
    papers = chosen_papers(preset, whole, here.papers, here.config_dir)
    try:
        return bool(tables_of(preset, whole, papers, here.config_dir, is_choice=True))
    except UserError:
        return False


def needs_of(preset: str, here: Here) -> Needs:
    """Return what one preset needs; what cannot be read is missing, too."""
    try:
        grid = load_grid(preset, here.config_dir, papers=here.papers)
        plan = DownloadPlan(here.catalogue)
        wanted = wanted_paths(grid, own_roots=_own_roots(grid, here))
        files = [f for f in list_downloads(here.catalogue, wanted) if not f.here]
        missing = [
            *_data(grid, plan, here),
            *_weights(grid, plan, here.config_dir),
            *_gpu(grid),
            *_engines(grid),
            *_space(grid, here.speeds, sum(f.at_most_bytes for f in files)),
        ]
    except UserError as error:
        return Needs((str(error),))
    sizes: dict[str, int] = {}
    for file in files:
        if here.catalogue.downloads[file.download].site is None:  # others need an account
            sizes[file.download] = sizes.get(file.download, 0) + file.at_most_bytes
    fetched = (f"{name} (at most {size / 1e6:.0f} MB)" for name, size in sizes.items())
    return Needs(tuple(missing), tuple(fetched))


def _own_roots(grid: Grid, here: Here) -> list[str]:
    return [d.root for d in grid.datasets.values() if d.root and d.layout in here.own]


def _data(grid: Grid, plan: DownloadPlan, here: Here) -> Iterator[str]:
    for name, dataset in grid.datasets.items():
        if dataset.generate is not None:
            continue
        root = data_paths(name, dataset, UserData(here.own.get(dataset.layout))).root
        if root.is_dir() or (dataset.layout not in here.own and plan.will_fetch(dataset.root)):
            continue
        fetched = how_to_fetch(root, here.config_dir) if dataset.layout != "cityscapes" else ""
        told = fetched or f"; {dataset.obtained or _how(name, dataset)}"
        yield f"data set {name}, {dataset.title}: no folder {root}{told}"


def _how(name: str, dataset: Dataset) -> str:
    if dataset.layout == "cityscapes":
        return "it needs your account or its archives (docs/data.md), or `cityscapes_root=FOLDER`"
    return f"correct `root` in config/datasets/{name}.yaml, or say `data_root=FOLDER`"


def _weights(grid: Grid, plan: DownloadPlan, config_dir: Path) -> Iterator[str]:
    pairs = sorted({(t.dataset, t.variant) for t in grid.trainings})
    for settings in (grid.training_settings(*pair) for pair in pairs):
        trunk = family_of(settings).weights(settings.model)
        start = settings.start_from.weights if settings.start_from else None
        for file in (trunk, start):
            if file and not Path(file).is_file() and not plan.will_fetch(file):
                yield f"weights {file}: no such file{how_to_fetch(Path(file), config_dir)}"


def _gpu(grid: Grid) -> Iterator[str]:
    if not grid.preset.needs_gpu:
        return
    if not gpus():
        yield "a GPU; `snakemake --config device=cpu` trains without one, for weeks"
    elif lacking := lacking_for_gpus():
        yield lacking


def _engines(grid: Grid) -> Iterator[str]:
    if any(variant.engine == "detectron2" for variant in grid.variants.values()):
        from pointrend_repro.engines.detectron2.install import require_detectron2

        try:
            require_detectron2()
        except UserError as error:
            yield str(error)


def _space(grid: Grid, speeds: Speeds, to_fetch: int) -> Iterator[str]:
    """Compare the least that results and downloads take with what is free."""
    layouts = {name: dataset.layout for name, dataset in grid.datasets.items()}
    models = {
        t: model_speed(speeds, grid.training_settings(t.dataset, t.variant), layouts[t.dataset])
        for t in grid.trainings
        if t.dataset in layouts
    }
    items = estimate_disk(grid, models, speeds.datasets)
    results = sum(item.bytes.low for item in items if not item.what.startswith("data set"))
    free = free_bytes(Path("results"))
    if free is not None and results + to_fetch > free:
        yield f"{(results + to_fetch) / 1e9:.0f} GB of disk for results and downloads"
