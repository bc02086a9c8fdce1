"""Selective Search's boxes of a data set, in COCO's results format."""

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.own_code import loaded_modules, modules_digest
from pointrend_repro.base.provenance import digest
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.fingerprint import predicted_data
from pointrend_repro.modeling.selective_search import search
from pointrend_repro.predictions.image_steps import Steps
from pointrend_repro.predictions.in_parts import LIST, Work, write_in_parts
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.selective_search import SelectiveSearchInferenceSettings

# As of other proposals: of no class.
CATEGORY_ID = 1

Boxes = list[tuple[list[int], float]]  # xywh, and score


def write_proposals(
    dataset: CocoDataset,
    settings: SelectiveSearchInferenceSettings,
    path: Path,
    processes: int = 1,
) -> None:
    """Search every image of a data set, and write a JSON list.

    Its entries are COCO results, `image_id`, `category_id` (1), `bbox` (xywh) and `score`, in
    pixels of the image on disk. They do not depend on the number of processes, nor on whether the
    search was interrupted.

    Raises:
        UserError: OpenCV has no contrib modules, an image cannot be read, or its size differs from
            its record's.
    """
    if not hasattr(cv2, "ximgproc"):
        raise UserError(
            "Selective Search needs OpenCV's contrib modules: pip uninstall opencv-python-headless "
            "opencv-python, then pip install opencv-contrib-python-headless"
        )
    made_from = digest(
        [
            identity(settings),
            cv2.__version__,
            modules_digest(loaded_modules()),
            [(record.id, record.path.name) for record in dataset.images],
            predicted_data(dataset),
        ]
    )
    steps = Steps(partial(_of_record, settings=settings), _found, _entries)
    work = Work(workers=processes if processes > 1 else 0, made_from=made_from)
    write_in_parts(path, dataset.images, steps, LIST, work)


def _of_record(record: ImageRecord, settings: SelectiveSearchInferenceSettings) -> Boxes:
    cv2.setNumThreads(1)  # there are as many processes as threads are asked for
    # The order of an image's boxes does not depend on the other images.
    rng = np.random.default_rng([settings.seed, abs(record.id)])
    return best_boxes(read_record(record), settings, rng)


def _found(record: ImageRecord, boxes: Boxes) -> tuple[int, Boxes]:
    return record.id, boxes


def _entries(found: tuple[int, Boxes]) -> list[dict[str, Any]]:
    image_id, boxes = found
    return [
        {"image_id": image_id, "category_id": CATEGORY_ID, "bbox": box, "score": score}
        for box, score in boxes
    ]


def best_boxes(
    image: NDArray[np.uint8],
    settings: SelectiveSearchInferenceSettings,
    rng: np.random.Generator,
) -> Boxes:
    """Return the boxes of an RGB image, (H, W, 3), as xywh with their scores, best first."""
    boxes, scores = search(image, settings.mode, rng)
    sides = boxes[:, 2:] - boxes[:, :2]
    large = (sides >= settings.min_side_px).all(axis=1)
    xywh = np.hstack([boxes[:, :2], sides])[large][: settings.proposals]
    return list(zip(xywh.tolist(), scores[large].tolist(), strict=False))
