"""What is written into figures: classes, scores, colours of classes, and why one is empty."""

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from pointrend_repro.data.structures import Detections
from pointrend_repro.figures.detections import show_detections
from pointrend_repro.figures.drawing import View
from pointrend_repro.figures.streets import add_legend, colored

NAMES = ["dog", "nut"]


def texts(found: Detections, names: list[str] | None) -> list[str]:
    figure = Figure()
    ax = figure.add_subplot()
    view = View(colored(torch.zeros(20, 30).byte().numpy()), (0, 0), 1.0)
    show_detections(ax, view, found, list(range(len(found.boxes))), names)
    return [text.get_text() for text in ax.texts]


def two() -> Detections:
    return Detections(
        boxes=torch.tensor([[2.0, 3, 12, 15], [10, 5, 28, 19]]),
        scores=torch.tensor([0.934, 0.5]),
        labels=torch.tensor([1, 0]),
        mask_logits=torch.ones(2, 7, 7),
    )


def test_classes_and_scores_are_written_if_asked() -> None:
    assert sorted(texts(two(), NAMES)) == ["dog 0.50", "nut 0.93"]
    assert texts(two(), None) == []


@pytest.mark.parametrize("names", [NAMES, None])
def test_an_empty_panel_says_why(names: list[str] | None) -> None:
    assert texts(two().select(slice(0)), names) == ["nothing found"]


@pytest.mark.parametrize("in_panel", [True, False])
def test_the_legend_names_the_classes_that_are_shown(in_panel: bool) -> None:
    figure = Figure(layout="compressed")
    ax = figure.add_subplot()
    add_legend(figure, {10, 0, 13}, ax if in_panel else None)
    (legend,) = [ax.get_legend()] if in_panel else figure.legends
    assert [text.get_text() for text in legend.findobj(Text) if text.get_text()] == [
        "road", "sky", "car",
    ]  # fmt: skip
    sky = legend.get_patches()[1].get_facecolor()[:3]
    shown = colored(torch.full((1, 1), 10).byte().numpy())[0, 0] / 255
    assert sky == pytest.approx(tuple(shown))
