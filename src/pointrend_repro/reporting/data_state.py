"""Numbers whose data have changed since: each step's record against what the data are today.

A step records the fingerprint of what it read (`data.fingerprint`). The rule `check_data` writes
that of the data before anything trains on them into `dataset.json`, `check_data_again` that of
today into `data_today.json`.
Nothing can be compared with records from before fingerprints were kept, or where nobody has checked
the data, as in a clone that has only results.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pointrend_repro.base.damaged import made_anew
from pointrend_repro.base.files import read_json
from pointrend_repro.data.fingerprint import file_fingerprint
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cost, Evaluation, data_today_path, dataset_path
from pointrend_repro.reporting.earlier_runs import DataRead
from pointrend_repro.reporting.formats import count
from pointrend_repro.reporting.results import Origin, Record, Result, Results
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable


@dataclass(frozen=True)
class DataState:
    """Today's fingerprints: by data set, then by part."""

    today: Mapping[str, Mapping[str, str]]

    def has_changed(self, dataset: str, record: Record) -> bool | None:
        """Whether a step, or a run that it continued, read other data than there are today.

        None: unknown.
        """
        chosen_by = [record.chosen_by] if record.chosen_by else []
        read = [record.data, *chosen_by, *(run.data for run in record.continued_from or ())]
        return _any([self._differs(dataset, data) for data in read])

    def _differs(self, dataset: str, read: DataRead | None) -> bool | None:
        today = read and self.today.get(dataset, {}).get(read.part)
        return None if read is None or today is None else today != read.fingerprint


def load_data_state(
    grid: Grid, results_dir: Path, lvis_annotations: Path | None = None
) -> DataState:
    """Read today's fingerprints of a preset's data sets.

    Args:
        results_dir: the preset's folder, `results/<preset>`, with a folder for each data set.
        lvis_annotations: those that the user names, which belong to no data set.

    Raises:
        DamagedError: `data_today.json` cannot be read.
        UserError: another file cannot be read.
    """
    today = {name: _fingerprints(results_dir, name) for name in grid.datasets}
    if lvis_annotations is not None and lvis_annotations.is_file():
        lvis = {"lvis_annotations": file_fingerprint(lvis_annotations)}
        today = {name: parts | lvis for name, parts in today.items()}
    return DataState(today)


def mark_changed(results: Results, state: DataState) -> Results:
    """Return the results with `data_changed` set in each step whose data can be compared."""
    return {source: _marked(source, result, state) for source, result in results.items()}


def mark_cells(tables: Sequence[MeasuredTable], results: Results) -> list[MeasuredTable]:
    """Return the tables with `data_changed` set in each cell that a marked result is behind."""

    def marked(cell: MeasuredCell) -> MeasuredCell:
        changed = any(data_changed(results[source]) for source, _ in cell.values)
        return replace(cell, data_changed=changed)

    return [
        replace(table, cells={place: marked(cell) for place, cell in table.cells.items()})
        for table in tables
    ]


def data_changed(result: Result) -> bool:
    """Whether some step behind a marked result read other data than there are today."""
    return any(record.data_changed for record in result.origin.steps.values())


def in_words(results: Results) -> str:
    """Return how many of the marked results were made of data that have changed since."""
    measured = [r for source, r in results.items() if isinstance(source, Evaluation)]
    if not measured:
        return "nothing measured yet"
    steps = [list(result.origin.steps.values()) for result in measured]
    changed = sum(data_changed(result) for result in measured)
    silent = sum(any(map(_is_silent, of_one)) for of_one in steps)
    absent = sum(
        any(s.data_changed is None and not _is_silent(s) for s in of_one) for of_one in steps
    )
    if all(step.data_changed is None for of_one in steps for step in of_one):
        if not absent:
            return "not compared: the results were made before data were recorded"
        return "not compared: the data are not here, or have not been checked"
    results_ = count(len(measured), "result")
    told = f"; {silent} made before data were recorded" if silent else ""
    told += f"; {absent} of {results_} not compared, whose data are not here" if absent else ""
    if not changed:
        return f"unchanged since the results were made{told}"
    return (
        f"changed since: {changed} of {results_} made from other data than today's{told}; "
        "put the data back, or remove those results and run again"
    )


def _fingerprints(results_dir: Path, dataset: str) -> dict[str, str]:
    # Generated data do not change by themselves: nobody checks them again.
    today, first = results_dir / data_today_path(dataset), results_dir / dataset_path(dataset)
    newest = today if today.is_file() else first
    if not newest.is_file():
        return {}
    # What the data were before anything was trained on them is not made again for this.
    with made_anew(newest) if newest == today else contextlib.nullcontext():
        content = read_json(newest)
    found = content.get("fingerprints", {}) if isinstance(content, dict) else {}
    return {part: str(value) for part, value in found.items()}


def _marked(source: Evaluation | Cost, result: Result, state: DataState) -> Result:
    if not isinstance(source, Evaluation):
        return result
    dataset = source.prediction.training.dataset
    steps = {
        name: record.model_copy(update={"data_changed": changed})
        for name, record in result.origin.steps.items()
        if (changed := _has_changed(dataset, record, state)) is not None
    }
    if not steps:
        return result
    origin: Origin = result.origin.model_copy(update=steps)
    return result.model_copy(update={"origin": origin})


def _has_changed(dataset: str, record: Record, state: DataState) -> bool | None:
    """Whether a step, or a training that it builds on, read other data; None: unknown."""
    own = state.has_changed(dataset, record)
    before = [state.has_changed(s.dataset, s.train) for s in record.sources if s.train]
    return _any([own, *before])


def _any(changed: Sequence[bool | None]) -> bool | None:
    """Whether something has changed; None: nothing is known to have, and not all is known."""
    if any(changed):
        return True
    return None if None in changed else False


def _is_silent(record: Record) -> bool:
    """Whether a record does not say all of what was read."""
    runs = record.continued_from or ()
    return record.data is None or any(run.data is None for run in runs)
