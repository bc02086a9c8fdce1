"""Cityscapes' average precision of instance masks, computed by cityscapesscripts.

The official evaluator (evalInstanceLevelSemanticLabeling.py) counts the pixels that each prediction
shares with each object, and computes precision and recall from these counts. Only the counting is
done here: the official code goes over whole images for each pair of prediction and object, uses a
function that NumPy has removed, and leaves `matches.json` in the current folder.
"""

import copy
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from cityscapesscripts.evaluation import (
    evalInstanceLevelSemanticLabeling as official,  # noqa: N813
)
from cityscapesscripts.helpers.labels import labels
from numpy.typing import NDArray

from pointrend_repro.data.cityscapes import (
    INSTANCE_CLASSES,
    LARGEST_ID,
    class_of,
    image_size,
    label_files,
    read_instance_ids,
)
from pointrend_repro.evaluation.cityscapes_predictions import (
    PredictedInstance,
    coco_reader,
    folder_reader,
)
from pointrend_repro.evaluation.packed_matches import Matches, PackedMatches
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

# Values in an instanceIds image; single caravans and trailers (29000, ...) are not among them in
# the official evaluator either.
_VOID_IDS = [label.id for label in labels if label.ignoreInEval and label.id >= 0]

_Found = dict[str, Any]


def cityscapes_ap(ground_truth: Path, predictions: Path) -> dict[str, float | None]:
    """Score instance predictions by Cityscapes' AP.

    Args:
        ground_truth: the folder that holds `gtFine/`; its val split is scored.
        predictions: a folder in the official layout of results, or a file in COCO's results format
            with masks at image size, ids of `data.cityscapes.image_id` and official label ids.

    Returns:
        `AP` (mean over classes and over IoU 0.50:0.05:0.95), `AP50`, and the AP of each class,
        such as `AP_person`, in percent. None stands for a number without any object, where the
        tool says nan.

    Raises:
        UserError: a file is missing or faulty, or the two do not match.
    """
    return score_cityscapes_ap(ground_truth, predictions, ReadOnce()).values


def score_cityscapes_ap(ground_truth: Path, predictions: Path, _: ReadOnce) -> Scored:
    """Score as `cityscapes_ap` does, and also return the pixel counts of each image."""
    matches = match_images(ground_truth, predictions)
    return Scored(_averages(average_precisions(matches)), matches)


def match_images(ground_truth: Path, predictions: Path) -> PackedMatches:
    """Count the pixels that predictions and objects share, by image.

    Arguments and errors are those of `cityscapes_ap`.
    """
    files = label_files(ground_truth, "val")
    if predictions.is_dir():
        read = folder_reader(predictions, files)
    else:
        read = coco_reader(predictions, {name: image_size(path) for name, path in files.items()})
    matches = PackedMatches()
    for name, path in files.items():
        ids = read_instance_ids(path)
        matches.add(name, match_image(ids, read(name, ids.shape)))
    return matches


def match_image(ids: NDArray[np.integer], predicted: Iterable[PredictedInstance]) -> Matches:
    """Count the pixels that predictions and objects of one image share.

    Args:
        ids: instanceIds image (H, W).
        predicted: its predictions.

    Returns:
        The counts in the official form, with the fields that `evaluateMatches` reads.
    """
    truth = _objects(ids)
    predictions: dict[str, list[_Found]] = {name: [] for name in _class_names()}
    for instance in predicted:
        height, width = instance.mask.shape
        part = ids[instance.top : instance.top + height, instance.left : instance.left + width]
        shared = np.bincount(part[instance.mask], minlength=LARGEST_ID + 1)
        prediction: _Found = {
            "confidence": instance.score,
            "pixelCount": int(shared.sum()),
            "voidIntersection": int(shared[_VOID_IDS].sum()),
            "matchedGt": [],
        }
        name = INSTANCE_CLASSES[instance.label_id]
        for item in truth[name]:
            if shared[item["instID"]]:
                both = {"intersection": int(shared[item["instID"]])}
                prediction["matchedGt"].append(item | both)
                item["matchedPred"].append(prediction | both)
        predictions[name].append(prediction)
    return {"groundTruth": truth, "prediction": predictions}


def average_precisions(matches: Mapping[str, Matches]) -> NDArray[np.float64]:
    """Let the official evaluator compute AP from the counts.

    Args:
        matches: by image.

    Returns:
        (1, classes, IoU thresholds) in 0..1, as from the official `evaluateMatches`; nan for a
        class without any object.
    """
    overlaps = official.args.overlaps
    found = [[_average_precision(matches, n, t) for t in overlaps] for n in _class_names()]
    return np.array([found])


def _average_precision(matches: Mapping[str, Matches], class_name: str, overlap: float) -> float:
    settings = copy.copy(official.args)
    settings.instLabels, settings.overlaps = [class_name], np.array([overlap])
    try:
        return float(official.evaluateMatches(matches, settings)[0, 0, 0])
    except IndexError:
        # The official code fails on an empty list of scores: there are objects, none was found,
        # and every prediction is ignored, since it lies in void or in groups.
        return 0.0


def _averages(precisions: NDArray[np.float64]) -> dict[str, float | None]:
    settings = copy.copy(official.args)
    settings.instLabels = _class_names()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")  # no object at all
        averages = official.computeAverages(precisions, settings)
    numbers = {"AP": averages["allAp"], "AP50": averages["allAp50%"]}
    numbers |= {f"AP_{name}": averages["classes"][name]["ap"] for name in settings.instLabels}
    return {key: None if np.isnan(x) else 100 * float(x) for key, x in numbers.items()}


def _objects(ids: NDArray[np.integer]) -> dict[str, list[_Found]]:
    """Objects and groups of each scored class, in the form of the official `instances2dict`."""
    found: dict[str, list[_Found]] = {name: [] for name in _class_names()}
    pixel_counts = np.bincount(ids.ravel())
    for instance_id in np.flatnonzero(pixel_counts).tolist():
        if class_of(instance_id) in INSTANCE_CLASSES:
            item = {
                "instID": instance_id,
                "pixelCount": int(pixel_counts[instance_id]),
                "medDist": -1,  # unknown, so every object is near enough
                "distConf": 0.0,
                "matchedPred": [],
            }
            found[INSTANCE_CLASSES[class_of(instance_id)]].append(item)
    return found


def _class_names() -> list[str]:
    return list(INSTANCE_CLASSES.values())
