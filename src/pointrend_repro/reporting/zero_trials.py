"""Trials that seem to have learnt nothing: a metric is 0 in each column, unlike in other trials.

A median hides such a trial, and of its range only the lower end tells of it.
docs/evidence/real_pictures.md has one, whose mask head's last ReLUs were dead.
"""

from collections import defaultdict

from pointrend_repro.experiments.nodes import Evaluation, Training
from pointrend_repro.reporting.formats import listed
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable


def zero_trials(measured: MeasuredTable) -> list[str]:
    """Return a note for each training of which a metric has nothing but 0, with all of its rows."""
    rows: dict[tuple[Training, str], list[str]] = defaultdict(list)
    for name, row in measured.table.rows.items():
        cells = [measured.cells[name, column] for column in measured.table.columns]
        for training, titles in _zeros([c for c in cells if not c.column.lower_is_better]).items():
            rows[training, listed(titles)].append(row.title)
    return [
        f"{'; '.join(of)}: trial {training.trial} has 0 in {titles}, unlike other trials. Its "
        f"training may have failed; its losses are in {training.updates_path} of the results."
        for (training, titles), of in rows.items()
    ]


def _zeros(cells: list[MeasuredCell]) -> dict[Training, list[str]]:
    """Return the trainings that a metric gives nothing but 0, each with the columns' titles."""
    scores: dict[tuple[str, str], dict[Training, list[float]]] = defaultdict(dict)
    titles: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cell in cells:
        for source, value in cell.values:
            if isinstance(source, Evaluation):
                training = source.prediction.training
                of = (training.dataset, source.metric)
                scores[of].setdefault(training, []).append(value)
                if cell.column.title not in titles[of]:
                    titles[of].append(cell.column.title)
    zeros: dict[Training, list[str]] = defaultdict(list)
    for of, by_training in scores.items():
        dead = [training for training, values in by_training.items() if not any(values)]
        if len(dead) < len(by_training):
            for training in dead:
                zeros[training] += titles[of]
    return zeros
