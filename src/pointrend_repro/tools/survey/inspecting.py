"""Inspects a whole folder: its content, its faults, and how to train on it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pointrend_repro.base.files import require_ours
from pointrend_repro.data.category_names import category_name
from pointrend_repro.data.coco import Category, read_coco
from pointrend_repro.data.shifted import shift_of_masks
from pointrend_repro.declarations.metric import METRICS, Layout
from pointrend_repro.tools.survey.coco_entries import crowds_told, read_entries
from pointrend_repro.tools.survey.content import SPLITS, Split, SplitContent
from pointrend_repro.tools.survey.decoding import open_images
from pointrend_repro.tools.survey.findings import Finding, fault, oddity
from pointrend_repro.tools.survey.image_folders import NO_IMAGES
from pointrend_repro.tools.survey.layout import CityscapesFolder, CocoFolder, find_layout
from pointrend_repro.tools.survey.measuring import Counts, Shapes, count, shapes
from pointrend_repro.tools.survey.mending.categories import empty_heads
from pointrend_repro.tools.survey.proposing import Proposal, propose
from pointrend_repro.tools.survey.streets import read_streets


@dataclass(frozen=True)
class Survey:
    """The result of inspecting a folder.

    Attributes:
        root: the folder that holds both splits.
        metrics: the ones by which it can be scored.
        opened: how many images of each split were opened in full.
        train: sizes of what would be trained on.
        proposal: None if there is nothing to train on.
    """

    root: Path
    layout: Layout
    metrics: tuple[str, ...]
    splits: dict[Split, SplitContent]
    counts: dict[Split, Counts]
    opened: dict[str, int]
    findings: tuple[Finding, ...]
    train: Shapes
    proposal: Proposal | None

    @property
    def categories(self) -> tuple[Category, ...]:
        """Those of the training split."""
        return self.splits["train"].categories

    @property
    def faults(self) -> list[Finding]:
        """What must be corrected."""
        return [finding for finding in self.findings if finding.must_mend]


def inspect_folder(
    root: Path,
    *,
    train: Path | None = None,
    val: Path | None = None,
    images: Mapping[Split, Path] = NO_IMAGES,
    sample: int | None = None,
) -> Survey:
    """Inspect a folder of data: all annotations, and its images in full.

    Args:
        root: the folder.
        train, val: the COCO files of the splits, if their names do not show which is which.
        images: the folders of their images, if the names in the files do not show which.
        sample: open this many images of each split; none: all.

    Raises:
        UserError: the layout is unknown, or a file cannot be read at all.
    """
    folder = find_layout(root, train=train, val=val, images=images)
    findings: list[Finding] = []
    splits: dict[Split, SplitContent] = {}
    for name in SPLITS:
        if isinstance(folder, CityscapesFolder):
            splits[name], found = read_streets(name, folder.root)
        else:
            splits[name], found = read_entries(name, folder.splits[name])
        findings += found
    findings += _compare(splits)
    opened, found = open_images(splits.values(), sample)
    findings += found
    if not isinstance(folder, CityscapesFolder) and not any(f.must_mend for f in findings):
        findings += [*_heads(folder, splits.values()), *_shifted(splits.values())]
    layout: Layout = "cityscapes" if isinstance(folder, CityscapesFolder) else "coco"
    trained = shapes(splits["train"])
    return Survey(
        root=folder.root,
        layout=layout,
        metrics=_metrics_of(layout, splits["val"].categories),
        splits=splits,
        counts={name: count(split) for name, split in splits.items()},
        opened=opened,
        findings=tuple(findings),
        train=trained,
        proposal=propose(trained) if len(trained.sides_px) else None,
    )


def _metrics_of(layout: Layout, categories: Sequence[Category]) -> tuple[str, ...]:
    """Metrics of detectors whose ground truth comes with the data; LVIS annotates only COCO."""
    has_keypoints = any(each.keypoints is not None for each in categories)
    return tuple(
        metric.name
        for metric in METRICS.all()
        if metric.reads == "instances"
        and layout in metric.layouts
        and metric.truth != "lvis_annotations"
        and (metric.scores != "keypoints" or has_keypoints)
    )


def _compare(splits: dict[Split, SplitContent]) -> list[Finding]:
    """Faults and oddities of the two splits taken together, and of their classes."""
    train, val = splits["train"], splits["val"]
    findings = []
    if train.categories != val.categories:
        ours, theirs = set(train.categories), set(val.categories)
        for where, only in ((train, ours - theirs), (val, theirs - ours)):
            findings += [
                fault(
                    "categories of one split alone",
                    f"{where.annotations}: {category.name!r} with id {category.id} is only here; "
                    "list the same categories in both files",
                )
                for category in sorted(only, key=lambda c: c.id)
            ]
    findings += _of_both(train, val)
    for split in (train, val):
        findings += [
            oddity(
                "keypoints without sigmas",
                f"{split.annotations}: category {c.name!r} (id {c.id}): its keypoints cannot be "
                'scored; write "sigmas" into it (docs/your_data.md)',
            )
            for c in split.categories
            if c.keypoints is not None and c.keypoints.sigmas is None
        ]
        used = {o.category_id for o in split.objects if not o.is_crowd}
        findings += [
            oddity(f"classes without an object in {split.name}", f"{c.name!r} (id {c.id})")
            for c in split.categories
            if c.id not in used
        ]
        if not used:
            text = f"{split.annotations}: no object of it can be used, so there is nothing to do"
            if count := len(split.objects):
                text += f": {crowds_told(count, count)}"
            findings.append(fault("splits without any object", text))
    return findings


def _of_both(train: SplitContent, val: SplitContent) -> list[Finding]:
    """Images that are trained and validated on: some by mistake, or the folder of one split."""
    trained = {os.path.normpath(image.path) for image in train.images.values()}
    both = [i.path for i in val.images.values() if os.path.normpath(i.path) in trained]
    if 2 * len(both) <= min(len(train.images), len(val.images)):
        text = "{} is trained and validated on"
        return [oddity("images of both splits", text.format(path)) for path in both]
    return [
        fault(
            "splits of the same images",
            f"{val.annotations}: {len(both)} of its {len(val.images)} images, such as {both[0]}, "
            "are trained on, too; name the folders of both by --train-images and --val-images, or "
            "list other images",
        )
    ]


def _heads(folder: CocoFolder, splits: Iterable[SplitContent]) -> Iterator[Finding]:
    """Categories that only stand above others: the model would have a class that is none."""
    used = {repr(o.category_id) for split in splits for o in split.objects}
    for found in folder.splits.values():
        for entry in empty_heads(found.content["categories"], used):
            yield oddity(
                "super-categories listed as a category",
                f"{found.annotations}: {category_name(entry)!r} (id {entry['id']}) would be a "
                "class of the model; `pointrend-repro data mend` takes it off the list",
            )


def _shifted(splits: Iterable[SplitContent]) -> Iterator[Finding]:
    for split in splits:
        shift = shift_of_masks(read_coco(split.images_dir, split.annotations))
        if shift is not None:
            yield oddity("masks beside their objects", f"{split.annotations}: {shift}")


def require_findings(output: Path) -> None:
    """Refuse to replace a file that does not hold what `as_data` returns.

    Raises:
        UserError: it is another one.
    """
    require_ours(output, ("folder", "layout", "classes", "splits", "findings"), "findings")


def as_data(survey: Survey) -> dict[str, Any]:
    """Return a survey as data: everything counted, and every finding."""
    proposal = survey.proposal
    return {
        "folder": str(survey.root),
        "layout": survey.layout,
        "classes": [category.name for category in survey.categories],
        "splits": {name: _split_as_data(survey, name) for name in SPLITS},
        "findings": [asdict(finding) for finding in survey.findings],
        "proposal": proposal
        and {
            "num_classes": len(survey.categories),
            "metrics": list(survey.metrics),
            "recipe": proposal.recipe.model_dump(mode="json", exclude_unset=True),
            "output_resolution": proposal.output_resolution,
            "epochs": proposal.epochs,
            "reasons": proposal.reasons,
        },
    }


def _split_as_data(survey: Survey, name: Split) -> dict[str, Any]:
    split, counts = survey.splits[name], survey.counts[name]
    sizes = [{"width": w, "height": h, "images": n} for (w, h), n in counts.sizes.items()]
    return {
        "images_folder": str(split.images_dir),
        "annotations": str(split.annotations),
        "images_opened": survey.opened[name],
        "images_not_listed": split.unlisted,
        **asdict(counts),
        "forms": dict(counts.forms),
        "sizes": sizes,
    }
