"""A table: which numbers of which variants it shows, and the paper's beside them."""

from typing import Literal

from pydantic import Field, model_validator

from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.metrics import MetricName, require_key
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.settings.values import PositiveFloat, Strict


class Column(Strict):
    """One column of a table: a metric of models trained on one data set, or a count."""

    title: Text
    heading: tuple[Text, ...] = Field(
        (), max_length=2, description="as printed, the heading over several first; none: the title"
    )
    dataset: Name | None = Field(
        None, description="none: the models are counted or timed, not trained"
    )
    metric: MetricName
    value: Text = Field(description="key of the metric, as the official tool names it")
    unit: Text = "%"
    tolerance: PositiveFloat | Literal["rounding"] | None = Field(
        description="|measured - paper| up to which it reproduces; rounding: to the paper's "
        "digits; null: no verdict, for the reason in tolerance_source"
    )
    tolerance_source: Text

    @property
    def is_exact(self) -> bool:
        """Whether its numbers are counts, which are the same in every preset and run."""
        return self.dataset is None and not METRICS.find(self.metric).measured

    @property
    def lower_is_better(self) -> bool:
        """Whether less is better of its number, as of a time or an error."""
        return self.value in METRICS.find(self.metric).lower_is_better

    @model_validator(mode="after")
    def _only_costs_need_no_data(self) -> "Column":
        if (self.dataset is None) != (METRICS.find(self.metric).reads is None):
            raise ValueError(f"metric {self.metric} and dataset {self.dataset} do not go together")
        return self

    @model_validator(mode="after")
    def _the_metric_has_the_key(self) -> "Column":
        require_key(self.metric, self.value, self.unit)
        return self


class Row(Strict):
    """One row of a table: a variant with one way to run it, and the paper's numbers by column.

    A row of somebody else's method has printed numbers alone: neither `variant` nor `inference`.
    """

    title: Text
    stub: tuple[Text, ...] = Field(
        (), description="as printed, under the table's stub_headings; none: the title"
    )
    starts_group: bool = Field(False, description="the paper leaves a gap above this row")
    variant: Name | None = None
    inference: Name | None = None
    numbers_of: Text | None = Field(
        None, description="whose the printed numbers are, where no variant is named: nothing runs"
    )
    paper: dict[Name, int | float] = Field(description="as printed: 34 is not 34.0")

    @property
    def runs(self) -> tuple[str, str] | None:
        """The variant and its way to predict; None if the numbers are only printed."""
        return (self.variant, self.inference) if self.variant and self.inference else None

    @model_validator(mode="after")
    def _runs_or_is_printed(self) -> "Row":
        if (self.variant is None) != (self.inference is None):
            raise ValueError("variant and inference go together")
        if (self.variant is None) != (self.numbers_of is not None):
            raise ValueError("says either a variant and its inference, or numbers_of")
        if self.variant is None and not self.paper:
            raise ValueError("has neither a variant nor printed numbers")
        return self


class Table(Strict):
    """A table of the paper; a new table is a new file."""

    title: Text
    caption: Text
    source: Text
    stub_headings: tuple[Text, ...] = Field(
        (), description="of the columns that name the rows, as printed; none: one, the rows' titles"
    )
    columns: dict[Name, Column]
    rows: dict[Name, Row]

    def with_columns(self, names: set[str]) -> "Table":
        """Return the table with some of its columns alone."""
        rows = {
            key: row.model_copy(
                update={"paper": {k: row.paper[k] for k in row.paper if k in names}}
            )
            for key, row in self.rows.items()
        }
        columns = {key: column for key, column in self.columns.items() if key in names}
        return self.model_copy(update={"columns": columns, "rows": rows})

    @model_validator(mode="after")
    def _stubs_have_headings(self) -> "Table":
        for key, row in self.rows.items():
            if row.stub and len(row.stub) != len(self.stub_headings):
                raise ValueError(
                    f"row {key!r} has {len(row.stub)} stub entries for "
                    f"{len(self.stub_headings)} stub_headings"
                )
        return self

    @model_validator(mode="after")
    def _numbers_have_columns(self) -> "Table":
        for key, row in self.rows.items():
            unknown = sorted(set(row.paper) - set(self.columns))
            if unknown:
                raise ValueError(f"row {key!r} has numbers for {unknown}, which are no columns")
        return self
