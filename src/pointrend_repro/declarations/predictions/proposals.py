"""Proposals: masks and boxes without classes, in one file in COCO's results format."""

from pointrend_repro.declarations.prediction_kind import Bytes, PredictedSizes, PredictionKind

# The fewest and the most for which the paper gives recall.
_FEWEST, _MOST = 10, 1000


def _image_bytes(sizes: PredictedSizes) -> Bytes:
    least, largest = sizes.detection_bytes
    return _FEWEST * least, _MOST * largest


KIND = PredictionKind(
    name="proposals",
    path="proposals.json",
    title="proposals",
    models="a model of proposals",
    image_bytes=_image_bytes,
    has_boxes=True,
)
