"""A model's predictions of a data set, without the file that the pipeline writes them to."""

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.predictions.image_steps import Timing, predict_images
from pointrend_repro.predictions.instances import _steps, require_same_categories
from pointrend_repro.predictions.pooling import Result
from pointrend_repro.settings.instances import InferenceSettings


def predict_dataset(
    saved: SavedModel, dataset: CocoDataset, settings: InferenceSettings
) -> list[Result]:
    """What `write_results` writes, one image after another."""
    require_same_categories(saved, dataset)
    of_images = predict_images(_steps(saved, settings), dataset.images, workers=0, timing=Timing())
    return [result for results in of_images for result in results]
