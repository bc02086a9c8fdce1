"""A COCO document, and the result of a correction."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pointrend_repro.data.coco_checks import image_problem

Entry = dict[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True)
class Mended:
    """A corrected document; the original is not modified.

    Attributes:
        document: correct entries are the same objects as before.
        done: how many were corrected, by what was wrong, in the plural.
        left: what could not be decided, one line for each.
    """

    document: Document
    done: Counter[str] = field(default_factory=Counter)
    left: tuple[str, ...] = ()

    def then(self, mend: Callable[[Document], "Mended"]) -> "Mended":
        """Apply another correction to the result."""
        after = mend(self.document)
        return Mended(after.document, self.done + after.done, self.left + after.left)


def mend_each(
    document: Document, key: str, mend: Callable[[Entry], tuple[Entry, str | None]]
) -> Mended:
    """Correct each entry of one of a document's lists by itself.

    Args:
        key: of the list.
        mend: returns the unchanged entry and None, or a new one and what was wrong.
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
    """Return (height, width) in pixels by id, for images whose entries are faultless."""
    sizes: dict[int, tuple[int, int]] = {}
    for entry in document["images"]:
        if image_problem(entry, sizes) is None:
            sizes[entry["id"]] = (entry["height"], entry["width"])
    return sizes


def annotations_of(document: Document) -> list[Entry]:
    """Return the annotations that are JSON objects."""
    return [entry for entry in document["annotations"] if isinstance(entry, dict)]
