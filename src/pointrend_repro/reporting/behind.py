"""All steps behind a number: its own three, and those of the models and boxes behind these."""

from pointrend_repro.reporting.results import Origin, Record, Source


def sources_behind(origin: Origin) -> list[Source]:
    """Return the trainings and predictions that a number's own steps were built on, each once."""
    found = [source for step in origin.steps.values() for source in step.sources]
    return [source for k, source in enumerate(found) if source not in found[:k]]


def records_behind(origin: Origin) -> list[tuple[str, Record]]:
    """Return the record of each step, with the name of its data set; a count has none."""
    own = [(origin.dataset or "", record) for record in origin.steps.values()]
    others = [
        (source.dataset, record)
        for source in sources_behind(origin)
        for record in (source.train, source.predict)
        if record is not None
    ]
    return [*own, *others]
