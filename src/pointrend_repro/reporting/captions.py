"""What Snakemake's own report says of a file: labels to find it by, and the settings in force.

The Snakefile reads this module, so it imports nothing heavy.
"""

from collections.abc import Iterable

from pointrend_repro.config.variants import is_trained
from pointrend_repro.declarations.family import FAMILIES
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cost, Evaluation
from pointrend_repro.reporting.settings_diff import differences


def number_labels(grid: Grid, number: Evaluation | Cost) -> dict[str, str]:
    """Return the labels of a metric file: tables, method, data set and trial."""
    cells = [cell for cell in grid.cells if number in cell.evaluations]
    tables = dict.fromkeys(table_label(grid, cell.table) for cell in cells)
    # Tables may name the same row in their own words; the first speaks.
    cell = cells[0]
    method = grid.tables[cell.table].rows[cell.row].title
    column = grid.tables[cell.table].columns[cell.column]
    metric = METRICS.find(number.metric).title or column.title
    labels = {"table": ", ".join(tables), "method": method, "metric": metric}
    if isinstance(number, Evaluation):
        training = number.prediction.training
        labels |= {
            "data set": grid.datasets[training.dataset].title,
            "trial": str(training.trial),
        }
    else:
        labels |= {"data set": "none", "trial": "none"}
    return {key: _plain(text) for key, text in labels.items()}


def table_label(grid: Grid, name: str) -> str:
    """Return a table's number in its paper, or its whole title if it has none."""
    label = grid.tables[name].title.partition(":")[0]
    # Each paper has a Table 1.
    paper = f"{grid.paper_of(name).about.short_title}, " if len(grid.papers) > 1 else ""
    return _plain(paper + label)


def settings_in_force(grid: Grid, number: Evaluation | Cost) -> str:
    """Return what a number's training and prediction run with beside the defaults, in lines."""
    if isinstance(number, Cost):
        head = grid.variants[number.variant].model.model_dump(mode="json")
        return _lines("counted with", {"model": head})
    prediction, training = number.prediction, number.prediction.training
    asked = grid.inference_settings(training.variant, prediction.inference)
    if not is_trained(grid.variants[training.variant]):
        return _lines(f"proposed ({prediction.inference}) with", asked.model_dump(mode="json"))
    return "\n".join(
        [
            training_in_force(grid, [(training.dataset, training.variant)]),
            _lines(f"predicted ({prediction.inference}) with", asked.model_dump(mode="json")),
            "everything else is the default, and seed and trial are the same number",
        ]
    )


def training_in_force(grid: Grid, trainings: Iterable[tuple[str, str]]) -> str:
    """Return what (data set, variant) pairs are trained with beside the defaults, in lines.

    How often a run logs and saves is left out: it does not change the weights.
    """
    return "\n".join(
        _lines(
            f"{variant} on {dataset}, trained with",
            grid.training_settings(dataset, variant).model_dump(mode="json", exclude={"run"}),
        )
        for dataset, variant in trainings
    )


def shown_in_force(grid: Grid, trainings: Iterable[tuple[str, str]]) -> str:
    """Return what shown models are trained with, and tested with by the preset, in lines."""
    pairs = list(trainings)
    lines = [training_in_force(grid, pairs)]
    for variant in dict.fromkeys(variant for _, variant in pairs):
        usual = FAMILIES.find(grid.variants[variant].family).default_inference()
        shown = grid.as_shown(variant, usual).model_dump(mode="json")
        lines += [_lines(f"{variant}, tested with", shown)] if differences(shown) else []
    return "\n".join(lines)


def _lines(heading: str, settings: dict[str, object]) -> str:
    told = [
        f"  {d.key} {d.value}" + (f" (default {d.default})" if d.default is not None else "")
        for d in differences(settings)
    ]
    return "\n".join([f"{heading}:", *(told or ["  the defaults"])])


def _plain(text: str) -> str:
    # Snakemake would look for wildcards between braces.
    return text.replace("{", "(").replace("}", ")")
