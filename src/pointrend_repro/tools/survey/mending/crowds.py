"""Objects that a tool marked as crowds because they were drawn as masks, as Datumaro does."""

from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended, mend_each

_KIND = "objects marked as crowds (--no-crowds)"


def as_single_objects(document: Document) -> Mended:
    """Make each crowd one object. Nothing in a file tells which are, so it has to be asked for."""
    return mend_each(document, "annotations", _single)


def _single(entry: Entry) -> tuple[Entry, str | None]:
    return (entry | {"iscrowd": 0}, _KIND) if entry.get("iscrowd") == 1 else (entry, None)
