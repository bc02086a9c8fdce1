"""Numbers whose settings the preset has changed since: each step's record against today's preset.

Snakemake makes such numbers anew. It does not if it was told to look at dates alone, or if settings
were edited while jobs were waiting: these train with what they find when they begin.
"""

from pydantic import BaseModel

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation
from pointrend_repro.reporting.formats import count
from pointrend_repro.reporting.results import Record, Results
from pointrend_repro.settings.identity import are_of


def in_words(grid: Grid, results: Results) -> str:
    """Return how many results were trained or predicted with other settings than today's."""
    known: dict[tuple[str, str], bool] = {}
    changed = {}
    for source, result in results.items():
        if not isinstance(source, Evaluation):
            continue
        training, inference = source.prediction.training, source.prediction.inference
        dataset, variant = training.dataset, training.variant
        steps: list[tuple[Record | None, BaseModel]] = [
            (result.origin.predict, grid.inference_settings(variant, inference))
        ]
        if grid.models_of(source.prediction):
            steps.append((result.origin.train, grid.training_settings(dataset, variant)))
        changed[source] = any(_differ(record, today, known) for record, today in steps)
    if not changed:
        return "nothing measured yet"
    others = [source.prediction.training.variant for source, other in changed.items() if other]
    if not others:
        return "as the preset has them today"
    variants = ", ".join(dict.fromkeys(others))
    return (
        f"not today's: {len(others)} of {count(len(changed), 'result')} were made with settings "
        f"that the preset no longer has ({variants}); remove their models or predictions and run "
        "again"
    )


def _differ(record: Record | None, today: BaseModel, known: dict[tuple[str, str], bool]) -> bool:
    if record is None:
        return False
    # Of hundreds of results, a few have settings of their own.
    key = record.settings_digest, repr(today)
    if key not in known:
        known[key] = not are_of(record.settings, today)
    return known[key]
