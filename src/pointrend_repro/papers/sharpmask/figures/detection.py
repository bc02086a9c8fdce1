"""Figure 5 (c): detection against the type and the number of proposals."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from pointrend_repro.base.errors import UserError
from pointrend_repro.figures.drawing import WIDTH_IN, Picture, Score
from pointrend_repro.papers.sharpmask.figures.plots import line, prepare

SCORES = ["coco_box_ap"]

# Numbers of proposals with AP in %, by the label of their type.
_Lines = dict[str, list[tuple[int, float]]]


def draw(scores: Mapping[str, Score]) -> Picture:
    """Draw AP against the number of proposals of an image, a line for each type.

    Args:
        scores: by the type of proposals and their number, such as `rpn_100`; those of a type have
            one label.

    Raises:
        UserError: a name does not end in a number.
    """
    lines = _lines(scores)
    figure = Figure(figsize=(WIDTH_IN / 2, 2.6), layout="constrained")
    ax = figure.subplots()
    prepare(ax)
    for number, (label, points) in enumerate(lines.items()):
        line(ax, number, [count for count, _ in points], [ap for _, ap in points], label)
    ax.set(xscale="log", xlabel="proposals of an image", ylabel="AP of boxes, %")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize=7)
    told = [
        f"{label}: {', '.join(f'{ap:.1f} with {count}' for count, ap in points) or 'nothing'}"
        for label, points in lines.items()
    ]
    return Picture(
        figure,
        title="Figure 5 (c): Detection by type and number of proposals",
        caption=(
            "Box AP of detectors with VGG-16 against how many proposals of each image they look at "
            "when they are tested; each is trained once. By the models of the first trial. The "
            "paper's figure shows MultiPathNet with SharpMask and with Selective Search."
        ),
        alternative_text=f"A line of AP for each type of proposals. {'; '.join(told)}.",
        image_ids=[],
    )


def _lines(scores: Mapping[str, Score]) -> _Lines:
    lines: _Lines = {}
    for name, score in scores.items():
        count = name.rpartition("_")[2]
        if not count.isdecimal():
            raise UserError(f"scores: {name} does not end in a number of proposals")
        points = lines.setdefault(score.label, [])
        if (ap := score.values["AP"]) is not None:
            points.append((int(count), ap))
    return {label: sorted(points) for label, points in lines.items()}
