"""Mean IoU of semantic segmentation, computed by cityscapesscripts' pixel-level evaluator.

Only pixels whose ground truth is one of the 19 evaluated classes count. On such a pixel a predicted
id that is not evaluated is a false negative of the true class and no false positive. A class that
is neither in the ground truth nor predicted has no IoU and is left out of the mean.
"""

from pathlib import Path

from pointrend_repro.data.label_images import CLASS_NAMES
from pointrend_repro.evaluation._cityscapes_compat import pixel_level_evaluator
from pointrend_repro.evaluation.mean_iou import percent
from pointrend_repro.evaluation.scoring import ReadOnce, Scored
from pointrend_repro.evaluation.trimap import confusions_of_images


def cityscapes_miou(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score label images by Cityscapes' mean IoU over the 19 classes.

    Args:
        ground_truth: folder that holds gtFine/; the val split is scored.
        predictions: folder that holds, for each image, a PNG of label ids at the image's size, with
            a name that starts with `<city>_<seq>_<frame>`.

    Returns:
        `mIoU`, the tool's averageScoreClasses, and `IoU <class>` of each class, in percent. None
        stands for a number without any pixel, where the tool says nan.

    Raises:
        UserError: an image is missing or faulty.
    """
    return score_cityscapes_miou(ground_truth, predictions, ReadOnce()).values


def score_cityscapes_miou(ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `cityscapes_miou` does, and also return the confusion matrix of each image."""
    # First, for its error messages about files: the tool would end the program.
    confusions = confusions_of_images(ground_truth, predictions, once)
    pairs = confusions.pairs
    evaluator, settings = pixel_level_evaluator()
    scores = evaluator.evaluateImgLists(
        [str(pair.prediction) for pair in pairs], [str(pair.truth) for pair in pairs], settings
    )
    values = {
        "mIoU": percent(scores["averageScoreClasses"]),
        **{f"IoU {name}": percent(scores["classScores"][name]) for name in CLASS_NAMES.values()},
    }
    return Scored(values, confusions.of_all_pixels())
