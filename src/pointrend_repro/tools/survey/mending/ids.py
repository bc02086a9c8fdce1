"""Ids that are not whole numbers, or too large, and ids that several annotations share."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pointrend_repro.data.coco_checks import is_id
from pointrend_repro.tools.survey.mending.entries import (
    Document,
    Entry,
    Mended,
    annotations_of,
    mend_each,
)
from pointrend_repro.tools.survey.mending.numbers import whole_number_in

_TEXT = "ids as text or with a decimal point"
_LARGE = "ids beyond 64 bits"
_TWICE = "ids of several annotations"
_NONE = "annotations without an id"


def category_ids(documents: Sequence[Document]) -> list[Mended]:
    """Number categories whose ids are text or too large, with the same numbers in all files."""
    return _numbered(documents, "categories", "category_id")


def image_ids(document: Document) -> Mended:
    """Number images whose ids are text or too large."""
    return _numbered([document], "images", "image_id")[0]


def annotation_ids(document: Document) -> Mended:
    """Give each annotation an id of its own: the first with an id keeps it.

    An annotation that appears twice with the same id is left: one may be a duplicate.
    """
    first: dict[int, Entry] = {}
    for entry in annotations_of(document):
        if type(entry.get("id")) is int:
            first.setdefault(entry["id"], entry)
    unused = itertools.count(max(first, default=0) + 1)

    def mend(entry: Entry) -> tuple[Entry, str | None]:
        value = entry.get("id")
        number = whole_number_in(value)
        holder = first.get(number) if type(number) is int else None
        if holder is entry or (holder == entry and type(value) is int):
            return entry, None
        kind = _NONE if value is None else _TWICE if type(value) is int else _TEXT
        if type(number) is not int or holder is not None:
            number = next(n for n in unused if n not in first)
        new = entry | {"id": number}
        first[number] = new
        return new, kind

    return mend_each(document, "annotations", mend)


def _numbered(documents: Sequence[Document], key: str, reference: str) -> list[Mended]:
    """Number the entries of the lists `key`, and the annotations' `reference` to them."""
    listed = [[e.get("id") for e in d[key] if isinstance(e, dict)] for d in documents]
    if any(map(_are_alike, listed)):
        line = f"{key} have ids that differ only in how they are written, such as 1 and '1'"
        return [Mended(document, left=(line,)) for document in documents]
    numbers = _numbering(itertools.chain.from_iterable(listed))
    known = set(numbers.values())

    def new_id(value: Any) -> Any:
        number = whole_number_in(value)
        return numbers.get(_key(value), number if _is_given(value) and number in known else value)

    def mend_key(name: str, entry: Entry) -> tuple[Entry, str | None]:
        value = entry.get(name)
        if not _is_given(value) or is_id(value):
            return entry, None
        number = new_id(value)
        kind = _LARGE if type(value) is int else _TEXT
        return (entry, None) if number is value else (entry | {name: number}, kind)

    return [
        mend_each(document, key, lambda e: mend_key("id", e)).then(
            lambda d: mend_each(d, "annotations", lambda e: mend_key(reference, e))
        )
        for document in documents
    ]


def _are_alike(values: Iterable[Any]) -> bool:
    """Whether two different ids of a list would become the same number."""
    distinct = {_key(value): whole_number_in(value) for value in values if _is_given(value)}
    numbers = Counter(number for number in distinct.values() if type(number) is int)
    return any(count > 1 for count in numbers.values())


def _numbering(values: Iterable[Any]) -> dict[str, int]:
    """The whole number for each id; other files may write the same one in another form."""
    plain = {_key(value): whole_number_in(value) for value in values if _is_given(value)}
    taken = {number for number in plain.values() if is_id(number)}
    first = max(taken, default=0) + 1
    if not is_id(first + len(plain)):  # the largest leaves too few above it
        first = 1
    unused = (number for number in itertools.count(first) if number not in taken)
    return {k: number if is_id(number) else next(unused) for k, number in plain.items()}


def _is_given(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _key(value: Any) -> str:
    return json.dumps(value)
