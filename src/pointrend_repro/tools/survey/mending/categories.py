"""Categories that are only a heading, as Roboflow lists the project's name, or are listed twice."""

from collections import Counter
from collections.abc import Container, Sequence
from typing import Any

from pointrend_repro.data.category_names import category_name
from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended, annotations_of

_HEAD = "super-categories listed as a category, without an object"
_COPY = "categories listed several times"


def without_copies(document: Document) -> Mended:
    """Keep the first of equal categories: VIA 2 lists one for each object."""
    first: dict[str, Any] = {}
    kept = []
    for entry in document["categories"]:
        key = repr(entry.get("id")) if isinstance(entry, dict) else None
        if key is None or first.setdefault(key, entry) is entry or first[key] != entry:
            kept.append(entry)
    return _with(document, kept, _COPY)


def without_empty_heads(documents: Sequence[Document]) -> list[Mended]:
    """Remove, from all files, categories that are a super-category and have no object."""
    used = {repr(a.get("category_id")) for d in documents for a in annotations_of(d)}
    mended = []
    for document in documents:
        heads = empty_heads(document["categories"], used)
        kept = [c for c in document["categories"] if not any(c is head for head in heads)]
        mended.append(_with(document, kept, _HEAD))
    return mended


def empty_heads(categories: Sequence[Any], used: Container[str]) -> list[Entry]:
    """Return the elements of `categories` that are another one's super-category.

    A project is often called like its only class, so names alone do not tell them apart.

    Args:
        used: the ids of the categories that have an object, as `repr` writes them.
    """
    listed = [c for c in categories if isinstance(c, dict)]
    above = [(c.get("supercategory"), repr(c.get("id"))) for c in listed]

    def is_empty_head(entry: Entry) -> bool:
        name, own = category_name(entry), repr(entry.get("id"))
        return (
            isinstance(name, str)
            and own not in used
            and any(head == name and other != own for head, other in above)
        )

    return [entry for entry in listed if is_empty_head(entry)]


def _with(document: Document, kept: list[Any], kind: str) -> Mended:
    gone = len(document["categories"]) - len(kept)
    changed = {**document, "categories": kept} if gone else document
    return Mended(changed, Counter({kind: gone} if gone else {}))
