"""A category that is only a heading: Roboflow lists the project's name as one."""

from collections import Counter
from collections.abc import Sequence

from pointrend_repro.data.category_names import category_name
from pointrend_repro.tools.survey.mending.entries import Document, Entry, Mended, annotations_of

_KIND = "super-categories listed as a category, without an object"


def without_empty_heads(documents: Sequence[Document]) -> list[Mended]:
    """Remove, from all files, categories that are a super-category and have no object."""
    used = {repr(a.get("category_id")) for d in documents for a in annotations_of(d)}
    listed = [c for d in documents for c in d["categories"] if isinstance(c, dict)]
    above = [(c.get("supercategory"), category_name(c)) for c in listed]
    heads = {head for head, name in above if isinstance(head, str) and head != name}

    def is_empty_head(entry: Entry) -> bool:
        name = category_name(entry)
        return isinstance(name, str) and name in heads and repr(entry.get("id")) not in used

    mended = []
    for document in documents:
        entries = document["categories"]
        kept = [c for c in entries if not (isinstance(c, dict) and is_empty_head(c))]
        gone = len(entries) - len(kept)
        changed = {**document, "categories": kept} if gone else document
        mended.append(Mended(changed, Counter({_KIND: gone} if gone else {})))
    return mended
