"""Numbers whose settings the preset has changed since: each step's record against today's preset.

So are the trainings behind it: of models that predict together with its own, or that it began with.

Snakemake makes such numbers anew. It does not if it was told to look at dates alone, or if settings
were edited while jobs were waiting: these train with what they find when they begin.
"""

from collections.abc import Callable

from pydantic import BaseModel

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation
from pointrend_repro.reporting.behind import sources_behind
from pointrend_repro.reporting.formats import count
from pointrend_repro.reporting.results import Record, Results
from pointrend_repro.settings.identity import are_of


def in_words(grid: Grid, results: Results) -> str:
    """Return how many results were trained or predicted with other settings than today's."""
    known: dict[tuple[str, ...], bool] = {}

    def differ(record: Record | None, today: Callable[..., BaseModel], *names: str) -> bool:
        if record is None:
            return False
        # Of hundreds of results, some dozens have settings of their own.
        key = (record.settings_digest, *names)
        if key not in known:
            known[key] = not are_of(record.settings, today(*names))
        return known[key]

    measured = [source for source in results if isinstance(source, Evaluation)]
    others = []
    for source in measured:
        training, origin = source.prediction.training, results[source].origin
        variant, inference = training.variant, source.prediction.inference
        behind = {*grid.before(source.prediction)} - {training}
        trained = origin.train if grid.models_of(source.prediction) else None
        if (
            differ(trained, grid.training_settings, training.dataset, variant)
            or differ(origin.predict, grid.inference_settings, variant, inference)
            or any(
                differ(each.train, grid.training_settings, each.dataset, each.variant)
                for each in sources_behind(origin)
                # A file of weights may be another preset's model, which has settings of its own.
                if each.training in behind
            )
        ):
            others.append(variant)
    if not measured:
        return "nothing measured yet"
    if not others:
        return "as the preset has them today"
    return (
        f"not today's: {len(others)} of {count(len(measured), 'result')} were made with settings "
        f"that the preset no longer has ({', '.join(dict.fromkeys(others))}); remove their models "
        "or predictions and run again"
    )
