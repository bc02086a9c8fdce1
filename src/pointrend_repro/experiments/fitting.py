"""Whether the rows of a table fit the models and metrics that they name."""

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.reading import resolve_inference
from pointrend_repro.config.variants import kind_of
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid


def require_rows_fit(grid: Grid, name: str, file: str) -> None:
    """Refuse a row that its variant cannot fill.

    A metric scores predictions of one kind alone; what is only counted must have an inference
    setting, too; and a paper's table says by whose protocol a model is trained.

    Raises:
        UserError: the message names the row and the model's file.
    """
    table, paper = grid.tables[name], grid.table_papers[name]
    for row_name, row in table.rows.items():
        if row.runs is None:
            continue
        variant = grid.variants[row.runs[0]]
        where, model = f"{file}: row {row_name!r}", grid.variant_files[row.runs[0]]
        resolve_inference(variant, row.runs[1], where=f"{where}: {model}")
        if variant.paper is None and paper != grid.preset.papers[0]:
            raise UserError(
                f"{where}: {model} is in no paper's folder; say `paper: {paper}` there, by whose "
                "protocol it is trained"
            )
        kind = kind_of(variant)
        for column in table.columns.values():
            metric = METRICS.find(column.metric)
            if metric.families and variant.family not in metric.families:
                raise UserError(
                    f"{where}: variant {row.variant!r} is of family {variant.family}, in which "
                    f"metric {column.metric} cannot be counted"
                )
            if metric.kind != kind.name:
                raise UserError(
                    f"{where}: variant {row.variant!r} is "
                    f"{kind.models}, which metric {column.metric} does not score"
                )
