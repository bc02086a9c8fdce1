"""Sample predictions: what a model in training finds on a few validation images.

Drawing them changes nothing that the training depends on: it ends with the same bits.
"""

import contextlib
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.images import read_image
from pointrend_repro.declarations.family import family_of
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.predictions.label_maps import LabelMap
from pointrend_repro.predictions.mask_proposals import MaskProposals
from pointrend_repro.predictions.overlays import draw_found

COUNT = 4  # images

_HEIGHT_PX = 320
_GAP_PX = 8
_SCORE = 0.5
_AT_MOST, _AT_LEAST = 20, 3  # objects

_log = logging.getLogger(__name__)


def is_due(done: int, total: int, times: int) -> bool:
    """Return whether samples are drawn after `done` of `total` updates, if `times` times in all.

    They are evenly spaced, the last after the last update.
    """
    return done * times // total > (done - 1) * times // total


class Samples:
    """Images, and how a model's predictions on them are drawn.

    Args:
        images: the files, up to four.
        saved: makes of the model in training what predicts.
    """

    def __init__(self, images: Sequence[Path], saved: Callable[[nn.Module], SavedModel]) -> None:
        self._images = images
        self._saved = saved

    def draw(self, model: nn.Module) -> NDArray[np.uint8] | None:
        """Return the images side by side with what the model finds, RGB (H, W, 3).

        Objects are those that score 0.5 or more, 20 at most, or else the best three, so that a
        model that has just begun shows what it has. None, and a warning, after any error: a
        picture does not end a training.
        """
        try:
            with set_apart(model):
                return _side_by_side([self._drawn(path, model) for path in self._images])
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            _log.warning("sample predictions could not be drawn (%s)", text)
            return None

    def _drawn(self, path: Path, model: nn.Module) -> NDArray[np.uint8]:
        saved, pixels = self._saved(model), read_image(path)
        inference = default_inference(saved)
        family = family_of(inference)
        found: Instances | LabelMap | MaskProposals
        found = family.function(family.predict_image)(saved, pixels, inference)
        if isinstance(found, Instances):
            found = _clearest(found)
        return draw_found(pixels, found, saved, score_threshold=0.0)


@contextlib.contextmanager
def set_apart(model: nn.Module) -> Iterator[None]:
    """Predict with a model in training: inside, it is in evaluation mode and nothing is recorded.

    Afterwards each of its modules is in its own mode again (frozen norms never were in training
    mode), and what draws random numbers goes on as if there had been no such block.
    """
    modes = [(module, module.training) for module in model.modules()]
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    drawn_by_python, drawn_by_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            model.eval()
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        random.setstate(drawn_by_python)
        np.random.set_state(drawn_by_numpy)


def _clearest(found: Instances) -> Instances:
    confident = int((found.scores >= _SCORE).sum())
    count = min(max(confident, _AT_LEAST), _AT_MOST)
    return Instances(
        boxes=found.boxes[:count],
        scores=found.scores[:count],
        labels=found.labels[:count],
        masks=None if found.masks is None else found.masks[:count],
        keypoints=None if found.keypoints is None else found.keypoints[:count],
    )


def _side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Bring pictures to one height, the tallest's or 320 pixels, and join them, white between."""
    height = min(max(picture.shape[0] for picture in pictures), _HEIGHT_PX)
    joined: list[NDArray[np.uint8]] = []
    for picture in pictures:
        width = max(1, round(picture.shape[1] * height / picture.shape[0]))
        sized = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
        joined += [np.full((height, _GAP_PX, 3), 255, dtype=np.uint8), np.array(sized)]
    return np.concatenate(joined[1:], axis=1)
