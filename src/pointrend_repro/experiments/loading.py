"""Reading a preset into the grid of its experiments, and what is refused while doing so."""

from collections.abc import Sequence
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.figures import Figures, load_figures
from pointrend_repro.config.finding import Found, files_of, find
from pointrend_repro.config.papers import Paper, list_papers, load_paper
from pointrend_repro.config.presets import Preset
from pointrend_repro.config.reading import (
    CONFIG_DIR,
    load_dataset,
    load_preset,
    load_table,
    load_variant,
)
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import Variant, is_trained, together
from pointrend_repro.data.paths import UserData, has_truth
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.engines.checking import require_engine_can, require_engine_can_start
from pointrend_repro.experiments.building_on import require_can_predict_together, with_sources
from pointrend_repro.experiments.choosing import chosen_papers, tables_of, without_others
from pointrend_repro.experiments.drawable import require_drawable
from pointrend_repro.experiments.fitting import require_rows_fit
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation, Prediction, Training

_NO_USER_DATA = UserData()


def load_grid(
    preset_name: str,
    config_dir: Path = CONFIG_DIR,
    user: UserData = _NO_USER_DATA,
    papers: Sequence[str] = (),
) -> Grid:
    """Read a preset and all that it names, and lay out its experiments.

    Args:
        user: data of the user's own; AP* is scored only where there are LVIS annotations.
        papers: whose tables, figures and claims to make; none: those of the preset.

    Raises:
        UserError: a file is missing or wrong, or a combination does not resolve.
    """
    whole = load_preset(preset_name, config_dir)
    chosen = chosen_papers(preset_name, whole, papers, config_dir)
    table_papers = tables_of(preset_name, whole, chosen, config_dir, is_choice=bool(papers))
    drawn = load_figures(config_dir)
    preset = without_others(preset_name, whole, drawn, chosen, is_choice=bool(papers))
    datasets = {
        name: load_dataset(name, config_dir) for name in sorted(set(preset.datasets.values()))
    }
    tables = {
        name: _scored(find("table", name, config_dir), preset, datasets, config_dir)
        for name in table_papers
    }
    rows = [row for table in tables.values() for row in table.rows.values()]
    names = {row.variant for row in rows if row.variant}
    variants = with_sources({n: load_variant(n, config_dir) for n in sorted(names)}, config_dir)
    grid = Grid(
        preset_name,
        preset,
        tables,
        _asked_for(tables, preset, datasets, variants, drawn),
        variants,
        _cells(tables, preset, datasets, variants, user),
        drawn,
        papers=chosen,
        table_papers=table_papers,
        trained_by=_trained_by(variants, preset, chosen, config_dir),
        variant_files={name: each.shown for name, each in files_of("variant", config_dir).items()},
    )
    for name in tables:
        require_rows_fit(grid, name, find("table", name, config_dir).shown)
    _check_runs(grid)
    return grid


def _cells(
    tables: dict[str, Table],
    preset: Preset,
    datasets: dict[str, Dataset],
    variants: dict[str, Variant],
    user: UserData,
) -> tuple[Cell, ...]:
    return tuple(
        _cell(name, row, column, table, preset, datasets, variants, user)
        for name, table in tables.items()
        for row in table.rows
        for column in table.columns
    )


def _asked_for(
    tables: dict[str, Table],
    preset: Preset,
    datasets: dict[str, Dataset],
    variants: dict[str, Variant],
    drawn: Figures,
) -> dict[str, Dataset]:
    """Return the data sets that a column of the tables, a source of a variant or a figure needs."""
    asked = {column.dataset for table in tables.values() for column in table.columns.values()}
    asked |= {source.dataset for variant in variants.values() for source in variant.sources}
    figures = [drawn.figures[name] for name in preset.figures if name in drawn.figures]
    asked |= {role for figure in figures for role in figure.entry.datasets.values()}
    names = {name for role, name in preset.datasets.items() if role in asked}
    return {name: datasets[name] for name in names}


def load_grid_of(preset_name: str, dataset: str, variant: str, config_dir: Path) -> Grid:
    """Return a grid that has an experiment: the preset's, or else that of other papers.

    Of a variant of another paper than the preset's, that paper's alone is tried first, which has
    the same settings as all together and is read sooner.

    Raises:
        UserError: none has it, or as `load_grid`.
    """
    known: set[tuple[str, str]] = set()
    of_variant = files_of("variant", config_dir).get(variant)
    own = [] if of_variant is None or of_variant.paper is None else [of_variant.paper]
    if set(own) <= set(load_preset(preset_name, config_dir).papers):
        own = []
    for papers in (own, [], list_papers(config_dir)):
        try:
            grid = load_grid(preset_name, config_dir, papers=papers)
        except UserError:
            if papers:  # the preset has no data for their tables, or no recipes for their models
                continue
            raise
        made = [*grid.trainings, *(prediction.training for prediction in grid.predictions)]
        known |= {(t.dataset, t.variant) for t in made}
        if (dataset, variant) in known:
            return grid
    raise UserError(
        f"preset {preset_name!r} has no experiment of variant {variant!r} on data set "
        f"{dataset!r}; it has: {', '.join(f'{v} on {d}' for d, v in sorted(known))}"
    )


def _trained_by(
    variants: dict[str, Variant], preset: Preset, papers: dict[str, Paper], config_dir: Path
) -> dict[str, Paper]:
    """Return by which paper's protocol each variant is trained."""
    names = {name: each.paper or preset.papers[0] for name, each in variants.items()}
    others = {name: load_paper(name, config_dir) for name in set(names.values()) - set(papers)}
    return {variant: (papers | others)[name] for variant, name in names.items()}


def _check_runs(grid: Grid) -> None:
    """Refuse what cannot run as it is configured, before anything does."""
    if not grid.evaluations and not grid.costs:
        columns = [c for table in grid.tables.values() for c in table.columns.values()]
        asked = sorted({column.dataset for column in columns if column.dataset})
        raise UserError(
            f"presets/{grid.name}.yaml: there is nothing to run for {', '.join(grid.papers)}: the "
            f"tables ask for {', '.join(asked)}, and its datasets have "
            f"{', '.join(grid.preset.datasets)}"
        )
    # Of what is scored before settings resolve, which would refuse another family's for less.
    for prediction in sorted({e.prediction for e in grid.evaluations}):
        require_can_predict_together(grid, prediction)
    for training in grid.trainings:
        settings = grid.training_settings(training.dataset, training.variant)
        require_engine_can_start(settings, where=grid.variant_files[training.variant])
    for prediction in grid.predictions:
        training = prediction.training
        require_can_predict_together(grid, prediction)
        if not is_trained(grid.variants[training.variant]):
            continue
        settings = grid.training_settings(training.dataset, training.variant)
        inference = grid.inference_settings(training.variant, prediction.inference)
        require_engine_can(settings, inference, where=grid.variant_files[training.variant])
    require_drawable(grid)


def _scored(found: Found, preset: Preset, datasets: dict[str, Dataset], config_dir: Path) -> Table:
    """Leave out the columns of metrics by which the data set that stands for theirs is not scored.

    Raises:
        UserError: no column is left.
    """
    table = load_table(found.name, config_dir)
    used = {role: datasets[dataset] for role, dataset in preset.datasets.items()}
    kept = {
        key
        for key, column in table.columns.items()
        if column.dataset not in used or used[column.dataset].is_scored_by(column.metric)
    }
    if not kept:
        raise UserError(
            f"{found.shown}: none of its metrics is among `metrics` of "
            f"{', '.join(sorted(datasets))} in datasets/; add one, or take the table off the preset"
        )
    return table.with_columns(kept)


def _cell(
    table_name: str,
    row_name: str,
    column_name: str,
    table: Table,
    preset: Preset,
    datasets: dict[str, Dataset],
    variants: dict[str, Variant],
    user: UserData,
) -> Cell:
    row, column = table.rows[row_name], table.columns[column_name]
    if row.runs is None:
        reason = f"printed, not measured: {row.numbers_of}"
        return Cell(table_name, row_name, column_name, (), reason, can_run=False)
    variant, inference = row.runs
    scored, predicts = METRICS.find(column.metric).scores, variants[variant].model.predicts
    if scored is not None and predicts is not None and scored not in predicts:
        reason = f"the model predicts no {scored}"
        return Cell(table_name, row_name, column_name, (), reason, can_run=False)
    if column.dataset is None:
        cost = Cost(variant, inference, column.metric)
        return Cell(table_name, row_name, column_name, (cost,))
    if column.dataset not in preset.datasets:
        reason = "not part of this preset"
        return Cell(table_name, row_name, column_name, (), reason)
    dataset = preset.datasets[column.dataset]
    metric = METRICS.find(column.metric)
    if metric.truth and not has_truth(metric.truth, datasets[dataset], user):
        return Cell(table_name, row_name, column_name, (), metric.without_truth)
    others = together(variants[variant], inference)
    evaluations = tuple(
        Evaluation(
            Prediction(
                Training(dataset, variant, k),
                inference,
                tuple(Training(dataset, other, k) for other in others),
            ),
            column.metric,
        )
        for k in (preset.trials_of(column.dataset) if is_trained(variants[variant]) else range(1))
    )
    return Cell(table_name, row_name, column_name, evaluations)
