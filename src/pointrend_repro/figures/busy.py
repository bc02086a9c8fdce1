"""The choice of images with much to see, by the ground truth alone."""

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import CocoDataset, ImageRecord

BUSY_CHOICE = (
    "the validation images with the most annotated objects, and of equals those whose names come "
    "first"
)


def choose_busy(dataset: CocoDataset, count: int) -> list[ImageRecord]:
    """Return up to `count` images, chosen as `BUSY_CHOICE` says.

    Raises:
        UserError: there is no validation image.
    """
    if not dataset.images:
        raise UserError("there is no validation image to draw figures of")

    def rank(record: ImageRecord) -> tuple[int, str]:
        return -sum(not annotation.is_crowd for annotation in record.annotations), record.path.name

    return sorted(dataset.images, key=rank)[:count]
