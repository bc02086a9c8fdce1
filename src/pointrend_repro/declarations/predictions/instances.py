"""Objects with masks: one file in COCO's results format."""

from pointrend_repro.declarations.prediction_kind import Bytes, PredictedSizes, PredictionKind


def _image_bytes(sizes: PredictedSizes) -> Bytes:
    (fewest, most), (least, largest) = sizes.detections, sizes.detection_bytes
    return fewest * least, most * largest


KIND = PredictionKind(
    name="instances",
    path="predictions.json",
    title="predictions",
    models="an instance model",
    image_bytes=_image_bytes,
    has_boxes=True,
    rule_ending="",
)
