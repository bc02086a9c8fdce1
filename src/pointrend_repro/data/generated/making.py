"""Which generator draws a data set."""

from pathlib import Path

from pointrend_repro.data.generated.coco_layout import generate_coco
from pointrend_repro.data.generated.furniture_layout import generate_furniture
from pointrend_repro.data.generated.people_layout import generate_people
from pointrend_repro.declarations.finding import load_function
from pointrend_repro.declarations.metric import Layout
from pointrend_repro.settings.generated import GeneratedSettings

_CITYSCAPES = "pointrend_repro.data.generated.cityscapes_layout"
_BY_SUBJECT = {"people": generate_people, "furniture": generate_furniture}


def generate_dataset(root: Path, layout: Layout, settings: GeneratedSettings) -> None:
    """Draw a data set in its official layout, unless the same settings already did.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    if layout == "cityscapes" and settings.subject not in _BY_SUBJECT:
        # Only here, since it needs the benchmark's own tool.
        generate_cityscapes = load_function(f"{_CITYSCAPES}:generate_cityscapes")
        generate_cityscapes(root, settings)
    else:
        _BY_SUBJECT.get(settings.subject, generate_coco)(root, settings)
