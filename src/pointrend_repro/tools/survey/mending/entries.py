"""A COCO document, and what a mending has made of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointrend_repro.data.coco_checks import image_problem

Entry = dict[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True)
class Mended:
    """A document after a mending, which left the one before as it was.

    Attributes:
        document: entries that were right are the same objects as before.
        done: how many were mended, by what was wrong with them, in the plural.
        left: what could not be decided, one line for each.
    """

    document: Document
    done: Counter[str] = field(default_factory=Counter)
    left: tuple[str, ...] = ()

    def then(self, mend: Callable[[Document], "Mended"]) -> "Mended":
        """Mend on."""
        after = mend(self.document)
        return Mended(after.document, self.done + after.done, self.left + after.left)


def mend_each(
    document: Document, key: str, mend: Callable[[Entry], tuple[Entry, str | None]]
) -> Mended:
    """Mend each entry of one of a document's lists by itself.

    Args:
        key: of the list.
        mend: returns the entry as it was with None; or a new one with what was wrong.
    """
    done: Counter[str] = Counter()
    entries = []
    for entry in document[key]:
        kind = None
        if isinstance(entry, dict):
            entry, kind = mend(entry)
        if kind is not None:
            done[kind] += 1
        entries.append(entry)
    return Mended(document | {key: entries} if done else document, done)


def image_sizes(document: Document) -> Mapping[int, tuple[int, int]]:
    """Return (height, width) in pixels by id of the images whose entries have no fault."""
    sizes: dict[int, tuple[int, int]] = {}
    for entry in document["images"]:
        if image_problem(entry, sizes) is None:
            sizes[entry["id"]] = (entry["height"], entry["width"])
    return sizes


def annotations_of(document: Document) -> list[Entry]:
    """Return the annotations that are JSON objects."""
    return [entry for entry in document["annotations"] if isinstance(entry, dict)]
