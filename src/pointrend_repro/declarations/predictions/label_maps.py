"""Label maps: a folder with a PNG of official label ids for each image."""

from pointrend_repro.declarations.prediction_kind import PredictionKind

KIND = PredictionKind(
    name="label_maps",
    path="labels",
    title="label images",
    models="a semantic model",
    image_bytes=lambda sizes: sizes.label_image_bytes,
    is_folder=True,
    rule_ending="_labels",
)
