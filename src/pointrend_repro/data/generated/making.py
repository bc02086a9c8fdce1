"""Which generator draws a data set."""

from pathlib import Path

from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.data.generated.coco_layout import generate_coco
from pointrend_repro.data.generated.furniture_layout import generate_furniture
from pointrend_repro.data.generated.people_layout import generate_people
from pointrend_repro.declarations.metric import Layout
from pointrend_repro.settings.generated import GeneratedSettings

_BY_SUBJECT = {"people": generate_people, "furniture": generate_furniture}
_BY_LAYOUT = {"coco": generate_coco, "cityscapes": generate_cityscapes}


def generate_dataset(root: Path, layout: Layout, settings: GeneratedSettings) -> None:
    """Draw a data set in its official layout, unless the same settings already did.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    _BY_SUBJECT.get(settings.subject, _BY_LAYOUT[layout])(root, settings)
