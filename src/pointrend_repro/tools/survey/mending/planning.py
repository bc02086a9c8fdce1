"""All corrections of a folder in their order, and their result; nothing is written."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pointrend_repro.tools.survey.content import Split
from pointrend_repro.tools.survey.mending import ids
from pointrend_repro.tools.survey.mending.boxes import boxes_and_areas
from pointrend_repro.tools.survey.mending.categories import without_copies, without_empty_heads
from pointrend_repro.tools.survey.mending.crowds import as_single_objects
from pointrend_repro.tools.survey.mending.depths import MAX_BITS, common_bits
from pointrend_repro.tools.survey.mending.empties import without_empty
from pointrend_repro.tools.survey.mending.entries import Document, Mended
from pointrend_repro.tools.survey.mending.file_names import PictureIndex, find_pictures
from pointrend_repro.tools.survey.mending.fractions import in_pixels
from pointrend_repro.tools.survey.mending.halves import contents, split_in_two
from pointrend_repro.tools.survey.mending.keypoints import counted
from pointrend_repro.tools.survey.mending.numbers import as_numbers
from pointrend_repro.tools.survey.mending.outlines import as_polygons
from pointrend_repro.tools.survey.mending.pictures import Header, read_headers
from pointrend_repro.tools.survey.mending.sizes import upright_sizes
from pointrend_repro.tools.survey.mending.sources import Role, Sources

_DEEP = "pictures of more than 8 bits a channel"
_SPLIT = "files to be split in two, train and val"


@dataclass(frozen=True)
class Plan:
    """What becomes of a folder.

    Attributes:
        documents: the corrected COCO files; where nothing is corrected, the sources' own objects.
        splits: what becomes of a single file.
        deep: images to be written with 8 bits.
        deep_colour: images of 16 bits per channel that may have to be.
        bits: of their common range.
        done: how many were corrected, by what was wrong.
        left: what could not be decided, one line for each.
    """

    sources: Sources
    documents: Mapping[Role, Document]
    files: Mapping[Role, Mapping[int, Path]]
    splits: Mapping[Split, Document] = field(default_factory=dict)
    deep: tuple[Path, ...] = ()
    deep_colour: tuple[Path, ...] = ()
    bits: int = 8
    done: Counter[str] = field(default_factory=Counter)
    left: tuple[str, ...] = ()


def plan_mending(
    sources: Sources,
    *,
    val_share: float,
    seed: int,
    no_crowds: bool = False,
    drop_empty: bool = False,
) -> Plan:
    """Correct everything that can be corrected.

    Args:
        val_share: for a single file, the largest share of the images, in 0 to 1, that becomes the
            val split.
        seed: decides which images.
        no_crowds: whether each crowd is a single object.
        drop_empty: whether objects without a mask are taken out.

    Raises:
        UserError: a single file has too few images.
    """
    plan = preview(sources, no_crowds=no_crowds, drop_empty=drop_empty)
    plan = _with_bits(plan)
    if "both" not in plan.documents:
        return plan
    pictures = contents(plan.files["both"])
    halves = split_in_two(plan.documents["both"], pictures, val_share=val_share, seed=seed)
    return replace(plan, splits=halves)


def _with_bits(plan: Plan) -> Plan:
    """Read the pixels of deep images to find their common range."""
    bits, good, left = common_bits([*plan.deep, *plan.deep_colour])
    refused = set(plan.deep)
    # In colour the upper 8 of 16 bits are read, which is right if all 16 are in use.
    deep = tuple(path for path in good if path in refused or bits < MAX_BITS)
    lines = tuple(line for path, line in left.items() if path in refused)
    done = plan.done.copy()
    done[_DEEP] = len(deep)
    return replace(plan, bits=bits, deep=deep, left=plan.left + lines, done=+done)


def preview(sources: Sources, *, no_crowds: bool = False, drop_empty: bool = False) -> Plan:
    """Correct what needs no pixels, and count the rest."""
    pictures = [(f, name) for name, folders in sources.pictures.items() for f in folders]
    index = PictureIndex((f / name).relative_to(sources.root) for f, name in pictures)
    roles = list(sources.coco)
    steps = [
        as_numbers(source.document).then(without_copies).then(ids.image_ids)
        for source in sources.coco.values()
    ]
    if no_crowds:
        steps = [step.then(as_single_objects) for step in steps]
    steps = _jointly(steps, ids.category_ids)
    named = _with_pictures([step.document for step in steps], sources, index)
    parts = [_mend_file(step, *each) for step, each in zip(steps, named, strict=True)]
    if drop_empty:
        parts = [part._replace(mended=part.mended.then(without_empty)) for part in parts]
    heads = without_empty_heads([part.mended.document for part in parts])
    headers = {path: header for part in parts for path, header in part.headers.items()}
    deep = tuple(path for path, header in headers.items() if header.deep)
    done = Counter({_DEEP: len(deep), _SPLIT: int("both" in roles)})
    return Plan(
        sources,
        documents={role: head.document for role, head in zip(roles, heads, strict=True)},
        files={role: part.files for role, part in zip(roles, parts, strict=True)},
        deep=deep,
        deep_colour=tuple(path for path, header in headers.items() if header.deep_colour),
        done=sum((m.done for m in (*(part.mended for part in parts), *heads)), Counter()) + done,
        left=tuple(
            f"{sources.coco[role].path}: {line}"
            for role, part in zip(roles, parts, strict=True)
            for line in part.mended.left
        ),
    )


class _File(NamedTuple):
    """A COCO file's corrected content, its images by their position in the list, and headers."""

    mended: Mended
    files: Mapping[int, Path]
    headers: Mapping[Path, Header]


def _with_pictures(
    documents: Sequence[Document], sources: Sources, index: PictureIndex
) -> list[tuple[Mended, Mapping[int, Path]]]:
    """Find the images of all files, so that none takes what another one lists or may mean."""
    pairs = list(zip(documents, sources.coco.values(), strict=True))

    def find(others: Sequence[set[Path]]) -> list[tuple[Mended, Mapping[int, Path]]]:
        return [
            find_pictures(
                document,
                root=sources.root,
                images_dir=source.images_dir,
                index=index,
                elsewhere=set().union(*others[:k], *others[k + 1 :]),
            )
            for k, (document, source) in enumerate(pairs)
        ]

    return find([set(files.values()) for _, files in find([set() for _ in pairs])])


def _mend_file(step: Mended, named: Mended, files: Mapping[int, Path]) -> _File:
    headers = read_headers(files.values())
    at = {place: headers[path] for place, path in files.items() if path in headers}
    mended = (
        step.then(lambda _: named)
        .then(as_polygons)
        .then(lambda d: upright_sizes(d, at))
        .then(in_pixels)
        .then(boxes_and_areas)
        .then(counted)
        .then(ids.annotation_ids)
    )
    return _File(mended, files, headers)


def _jointly(
    steps: Sequence[Mended], mend: Callable[[Sequence[Document]], list[Mended]]
) -> list[Mended]:
    """Continue with a correction that needs several documents at once."""
    after = mend([step.document for step in steps])
    return [
        Mended(new.document, step.done + new.done, step.left + new.left)
        for step, new in zip(steps, after, strict=True)
    ]
