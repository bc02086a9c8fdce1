"""What a detector has found in an image, as entries of COCO's results format."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from pointrend_repro.data.structures import Detections
from pointrend_repro.modeling.paste import mask_window
from pointrend_repro.predictions.pooling import Result
from pointrend_repro.predictions.rle import encode_window


class Found(NamedTuple):
    """What is found in an image (H, W) on disk, in its pixels, on the CPU."""

    image_id: int
    height: int
    width: int
    detections: Detections


def coco_results(found: Found, categories: list[int]) -> list[Result]:
    """Return the entries of an image, with masks as run lengths.

    Args:
        found: in it.
        categories: the ids of the model's classes.
    """
    return list(_entries(found, categories))


def _entries(found: Found, categories: list[int]) -> Iterator[Result]:
    image_id, height, width, detections = found
    numbers = zip(detections.scores.tolist(), detections.labels.tolist(), strict=True)
    for row, (score, label) in enumerate(numbers):
        box = detections.boxes[row]
        x0, y0, x1, y1 = box.tolist()
        entry: Result = {
            "image_id": image_id,
            "category_id": categories[label],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": score,
        }
        if detections.mask_logits is not None:
            window = mask_window(detections.mask_logits[row], box, height, width)
            entry["segmentation"] = encode_window(window, height, width)
        if detections.keypoints is not None:
            entry["keypoints"] = _keypoints(detections.keypoints[row])
        yield entry


def _keypoints(keypoints: Tensor) -> list[float]:
    """Return keypoints (K, 3) of an object as COCO's results have them, [x, y, score, ...].

    COCO's x and y are indices of pixels, whose centres lie half a pixel further (detectron2 commit
    02b5c4e2, evaluation/coco_evaluation.py).
    """
    shift = keypoints.new_tensor([0.5, 0.5, 0.0])
    values: list[float] = (keypoints - shift).flatten().tolist()
    return values
