"""Reading a preset into the grid of its experiments, and what is refused while doing so."""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.metrics import SEMANTIC_METRICS
from pointrend_repro.config.presets import Preset
from pointrend_repro.config.reading import (
    CONFIG_DIR,
    load_dataset,
    load_preset,
    load_table,
    load_variant,
    resolve_inference,
)
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import AnyVariant, SemanticVariant
from pointrend_repro.data.paths import UserData
from pointrend_repro.engines.checking import require_engine_can, require_engine_can_start
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation, Prediction, Training
from pointrend_repro.settings.instances import OWN_ENGINE, InferenceSettings

_NO_USER_DATA = UserData()


def load_grid(
    preset_name: str, config_dir: Path = CONFIG_DIR, user: UserData = _NO_USER_DATA
) -> Grid:
    """Read a preset and all that it names, and lay out its experiments.

    Args:
        user: data of the user's own; AP* is scored only where there are LVIS annotations.

    Raises:
        UserError: a file is missing or wrong, or a combination does not resolve.
    """
    preset = load_preset(preset_name, config_dir)
    datasets = {name: load_dataset(name, config_dir) for name in set(preset.datasets.values())}
    tables = {
        name: _scored(name, load_table(name, config_dir), preset, datasets)
        for name in preset.tables
    }
    names = {row.variant for table in tables.values() for row in table.rows.values()}
    variants = _with_sources({name: load_variant(name, config_dir) for name in names}, config_dir)
    for name, table in tables.items():
        _check_rows(name, table, variants)
    cells = tuple(
        _cell(name, row, column, tables[name], preset, datasets, variants, user)
        for name, table in tables.items()
        for row in table.rows
        for column in table.columns
    )
    grid = Grid(preset_name, preset, tables, datasets, variants, cells)
    for prediction in grid.predictions:
        _check_ensemble(prediction, variants)
    for training in grid.trainings:
        settings = grid.training_settings(training.dataset, training.variant)
        require_engine_can_start(settings, where=f"variants/{training.variant}.yaml")
    for prediction in grid.predictions:
        training = prediction.training
        settings = grid.training_settings(training.dataset, training.variant)
        inference = grid.inference_settings(training.variant, prediction.inference)
        require_engine_can(settings, inference, where=f"variants/{training.variant}.yaml")
    for figure in preset.figures:
        grid.figure_trainings(figure)
    for picture in grid.drawn_pictures:
        grid.picture_trainings(picture)
    return grid


def _with_sources(variants: dict[str, AnyVariant], config_dir: Path) -> dict[str, AnyVariant]:
    """Add the variants that these start from or predict with, which no table need show."""
    found, waiting = dict(variants), list(variants.values())
    while waiting:
        variant = waiting.pop()
        named = [other for way in variant.inference for other in _together(variant, way)]
        if variant.start_from is not None and variant.start_from.variant is not None:
            named.append(variant.start_from.variant)
        for name in set(named) - set(found):
            found[name] = load_variant(name, config_dir)
            waiting.append(found[name])
    return found


def _together(variant: AnyVariant, inference: str) -> tuple[str, ...]:
    """The variants that predict together with one by one of its ways."""
    way = variant.inference[inference]
    ensemble = way.ensemble if isinstance(way, InferenceSettings) else None
    return () if ensemble is None else ensemble.variants


def _check_ensemble(prediction: Prediction, variants: dict[str, AnyVariant]) -> None:
    """Refuse models that cannot predict together.

    Raises:
        UserError: one is no detector, is another engine's, or is there twice.
    """
    names = [training.variant for training in prediction.trainings]
    for name in names if prediction.others else ():
        where = f"variants/{names[0]}.yaml: inference {prediction.inference!r}: ensemble.variants"
        if isinstance(variants[name], SemanticVariant):
            raise UserError(
                f"{where}: {name} is no detector, so it finds no objects to put together"
            )
        if variants[name].engine != OWN_ENGINE:
            raise UserError(f"{where}: {name} predicts by {variants[name].engine}, alone")
        if names.count(name) > 1:
            raise UserError(f"{where}: {name} is the variant itself, whose model is in it anyway")


def _scored(name: str, table: Table, preset: Preset, datasets: dict[str, Dataset]) -> Table:
    """Leave out the columns of metrics by which the data set that stands for theirs is not scored.

    Raises:
        UserError: no column is left.
    """
    used = {role: datasets[dataset] for role, dataset in preset.datasets.items()}
    kept = {
        key
        for key, column in table.columns.items()
        if column.dataset not in used or column.metric in used[column.dataset].scored_by
    }
    if not kept:
        raise UserError(
            f"tables/{name}.yaml: none of its metrics is among `metrics` of "
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
    variants: dict[str, AnyVariant],
    user: UserData,
) -> Cell:
    row, column = table.rows[row_name], table.columns[column_name]
    if column.dataset is None:
        return Cell(table_name, row_name, column_name, (Cost(row.variant, row.inference),))
    if column.dataset not in preset.datasets:
        reason = "not part of this preset"
        return Cell(table_name, row_name, column_name, (), reason)
    dataset = preset.datasets[column.dataset]
    lvis = user.lvis_annotations or datasets[dataset].lvis_annotations
    if column.metric == "lvis_ap_star" and not lvis:
        reason = "no LVIS annotations given; name them by lvis_annotations=FILE"
        return Cell(table_name, row_name, column_name, (), reason)
    together = _together(variants[row.variant], row.inference)
    evaluations = tuple(
        Evaluation(
            Prediction(
                Training(dataset, row.variant, k),
                row.inference,
                tuple(Training(dataset, other, k) for other in together),
            ),
            column.metric,
        )
        for k in range(preset.trials[column.dataset])
    )
    return Cell(table_name, row_name, column_name, evaluations)


def _check_rows(name: str, table: Table, variants: dict[str, AnyVariant]) -> None:
    """Refuse a row that its variant cannot fill.

    Label maps are not scored as instances, nor the other way round; and what is only counted must
    have an inference setting, too.
    """
    for row_name, row in table.rows.items():
        where = f"tables/{name}.yaml: row {row_name!r}: variants/{row.variant}.yaml"
        resolve_inference(variants[row.variant], row.inference, where=where)
        is_semantic = isinstance(variants[row.variant], SemanticVariant)
        for column in table.columns.values():
            if is_semantic != (column.metric in SEMANTIC_METRICS):
                kind = "a semantic" if is_semantic else "an instance"
                raise UserError(
                    f"tables/{name}.yaml: row {row_name!r}: variant {row.variant!r} is {kind} "
                    f"model, which metric {column.metric} does not score"
                )
