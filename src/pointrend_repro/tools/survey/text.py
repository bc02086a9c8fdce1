"""A survey as text for a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pointrend_repro.tools.survey.content import SPLITS
from pointrend_repro.tools.survey.findings import by_kind
from pointrend_repro.tools.survey.inspecting import Survey
from pointrend_repro.tools.survey.measuring import Counts
from pointrend_repro.tools.survey.proposing import Proposal

NAMED_OF_EACH_KIND = 10
_SIZES_SHOWN = 3
_LAYOUTS = {"coco": "COCO's format", "cityscapes": "Cityscapes' format"}
# Half the smallest anchor's side: smaller objects are hardly ever proposed.
_TINY_PX = 16


def to_text(survey: Survey) -> str:
    """Return what a survey found, and what it proposes."""
    lines = [
        *_places(survey),
        "",
        *_table(survey),
        "",
        *_classes(survey),
        *_objects(survey),
        *findings_lines(survey, "To mend before anything is trained", must_mend=True),
        *findings_lines(survey, "Worth a look", must_mend=False),
        *(_proposal(survey, survey.proposal) if survey.proposal else ()),
    ]
    # Names of classes and files are arbitrary: control codes in them must not reach the terminal.
    return "\n".join(printable(line) for line in lines)


def _places(survey: Survey) -> Iterator[str]:
    def below(path: Path) -> Path:
        return path.relative_to(survey.root) if path.is_relative_to(survey.root) else path

    yield f"{survey.root}: {_LAYOUTS[survey.layout]}"
    for name, split in survey.splits.items():
        yield f"  {name:6} {below(split.annotations)}, images in {below(split.images_dir)}"


def _table(survey: Survey) -> Iterator[str]:
    counts = [survey.counts[name] for name in SPLITS]
    forms = dict.fromkeys(form for c in counts for form in c.forms)
    yield _row("", SPLITS)
    yield _row("images", [c.images for c in counts])
    yield _row("  opened in full", [survey.opened[name] for name in SPLITS])
    yield _row("  without objects", [c.images_without_objects for c in counts])
    yield _row("  on disk, but not listed", [survey.splits[name].unlisted for name in SPLITS])
    yield _row("objects", [c.objects for c in counts])
    yield _row("  small, up to 32² px", [_share(c.small, c) for c in counts])
    yield _row("  medium", [_share(c.medium, c) for c in counts])
    yield _row("  large, over 96² px", [_share(c.large, c) for c in counts])
    if any(c.with_keypoints for c in counts):
        yield _row("  with keypoints", [c.with_keypoints for c in counts])
    yield _row("crowd regions", [c.crowd_regions for c in counts])
    for form in forms:
        yield _row(f"masks as {form}", [c.forms.get(form, 0) for c in counts])
    for name, c in zip(SPLITS, counts, strict=True):
        shown = [f"{w}x{h} ({n})" for (w, h), n in list(c.sizes.items())[:_SIZES_SHOWN]]
        more = len(c.sizes) - len(shown)
        yield f"image sizes, {name}: {', '.join(shown)}" + (f" and {more} others" if more else "")


def _classes(survey: Survey) -> Iterator[str]:
    count = len(survey.categories)
    yield _row("1 class" if count == 1 else f"{count} classes", SPLITS)
    train, val = (survey.counts[name] for name in SPLITS)
    of_val = {c.id: n for c, n in zip(survey.splits["val"].categories, val.by_class, strict=True)}
    for category, count in zip(survey.categories, train.by_class, strict=True):
        yield _row(f"  {category.name}", [count, of_val.get(category.id, "not listed")])


def _objects(survey: Survey) -> Iterator[str]:
    if survey.proposal is None:
        return
    settings = survey.proposal.recipe.input
    sides = survey.train.sides_px
    at_input = survey.train.input_sides_px(settings.test_short_edge_px, settings.max_long_edge_px)
    yield ""
    yield "sides of training objects' boxes in px (10 %, half and 90 % are up to)"
    yield _row("  in the image", _percentiles(sides))
    yield _row(f"  at a short edge of {settings.test_short_edge_px} px", _percentiles(at_input))
    tiny = float(np.mean(at_input < _TINY_PX))
    if tiny > 0.1:
        yield (
            f"  {tiny:.0%} of them are under {_TINY_PX} px there, which a detector mostly misses: "
            "cut the images into tiles, or raise the short edge"
        )


def findings_lines(
    survey: Survey, title: str, *, must_mend: bool, all_by: str = "--output FILE"
) -> Iterator[str]:
    """Yield all kinds of findings that must be corrected, or the others, with some of each kind.

    Args:
        all_by: the option or command that lists all of them.
    """
    found = [finding for finding in survey.findings if finding.must_mend == must_mend]
    yield ""
    yield f"{title}: {len(found) or 'nothing'}"
    for kind, findings in by_kind(found).items():
        yield f"  {kind}: {len(findings)}"
        yield from (f"    {finding.text}" for finding in findings[:NAMED_OF_EACH_KIND])
        more = len(findings) - NAMED_OF_EACH_KIND
        if more > 0:
            yield f"    and {more} more (all of them: {all_by})"


def _proposal(survey: Survey, proposal: Proposal) -> Iterator[str]:
    recipe, reasons = proposal.recipe, proposal.reasons
    (schedule,) = recipe.schedules.values()
    edges = recipe.input.train_short_edges_px
    yield ""
    yield "Proposed settings"
    yield f"  classes: {len(survey.categories)}; scored by {', '.join(survey.metrics)}"
    yield (
        f"  image size: short edge {edges[0]} to {edges[-1]} px in training, "
        f"{recipe.input.test_short_edge_px} in tests, long edge up to "
        f"{recipe.input.max_long_edge_px}"
    )
    yield f"    {reasons['input']}"
    yield (
        f"  schedule: {schedule.total_iters} updates of {recipe.optimizer.images_per_batch} images "
        f"({proposal.epochs:.0f} epochs), rate falling at "
        f"{' and '.join(map(str, schedule.lr_drop_iters))}"
    )
    yield f"    {reasons['schedule']}"
    yield f"  learning rate: {recipe.optimizer.base_lr:g}"
    yield f"    {reasons['optimizer']}"
    side = proposal.output_resolution
    yield f"  output resolution: {side}, the row PointRend, {side}x{side}"
    yield f"    {reasons['output resolution']}"


def _row(title: str, values: Iterable[object]) -> str:
    cut = title if len(title) <= 34 else title[:33] + "…"
    return f"{cut:34}" + "".join(f"{value!s:>14}" for value in values)


def _share(number: int, counts: Counts) -> str:
    return f"{number} ({number / counts.objects:.0%})" if counts.objects else str(number)


def _percentiles(values: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{value:.0f}" for value in np.percentile(values, [10, 50, 90])]


def printable(line: str) -> str:
    """Return a line without terminal control codes, which a name may contain."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
