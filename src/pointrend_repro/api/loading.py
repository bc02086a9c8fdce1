"""The package's Python interface: models by name, with any weights, on one image at a time."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.known_models import known_model
from pointrend_repro.checkpoints.loading import load_known_model, load_own_file, new_model
from pointrend_repro.checkpoints.published import fetch_command
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.config.reading import with_test
from pointrend_repro.data.fetch.catalogue import load_catalogue
from pointrend_repro.data.images import read_picture
from pointrend_repro.declarations.family import family_of
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.predictions.label_maps import LabelMap
from pointrend_repro.predictions.mask_proposals import MaskProposals
from pointrend_repro.settings.of_family import AnyInferenceSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A model that is ready to predict; `load_model` makes it.

    Attributes:
        name: as in `list_models`, or the path of a file of this project.
        saved: the network, its input settings and its categories.
        inference: how masks or label maps are predicted.
    """

    name: str
    saved: SavedModel
    inference: AnyInferenceSettings

    @property
    def categories(self) -> list[tuple[int, str]]:
        """The (id, name) of the classes, by label."""
        return self.saved.categories

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, by label."""
        return [name for _, name in self.saved.categories]

    def predict(self, image: NDArray[np.uint8]) -> Instances | LabelMap | MaskProposals:
        """Find the objects in an image, label all of its pixels, or propose masks.

        Args:
            image: uint8 RGB (H, W, 3), of any size; grey (H, W) or (H, W, 1) is taken as RGB.

        Returns:
            For a detector: `boxes` (R, 4) xyxy in pixels of the image, `scores` (R,), `labels` (R,)
            0-based classes, `masks` (R, H, W) bool, None for a model without masks, and `keypoints`
            (R, K, 3), x, y and a score, None for a model without keypoints; highest-scoring first,
            R may be 0. For a semantic model: `labels` (H, W) uint8 train ids. For DeepMask and
            SharpMask: `boxes`, `scores` and `masks` as for a detector, without classes; masks are
            drawn when they are asked for, and `best(10).masks` are those of the ten best.

        Raises:
            UserError: `image` is not such an array, or such models predict only whole data sets.
        """
        pixels = as_rgb(image)
        family = family_of(self.inference)
        if family.predict_image is None:
            raise UserError(f"family {family.name}: predicts data sets, not single images")
        found: Instances | LabelMap | MaskProposals = family.function(family.predict_image)(
            self.saved, pixels, self.inference
        )
        return found

    def predict_many(
        self,
        pictures: Iterable[str | Path],
        *,
        on_error: Callable[[Path, UserError], None] | None = None,
    ) -> Iterator[tuple[Path, Instances | LabelMap | MaskProposals]]:
        """Predict pictures one after another, each when it is asked for.

        Args:
            pictures: files.
            on_error: is called with a picture that cannot be read, which is then left out; None:
                the error is raised.

        Yields:
            The path of a picture and what `predict` finds in it.

        Raises:
            UserError: a picture cannot be read, and there is no `on_error`; or `pictures` is a
                single name.
        """
        if isinstance(pictures, (str, bytes, Path)):
            raise UserError("pictures: must be a list of files; put the one file in [ ]")
        for path in map(Path, pictures):
            try:
                pixels = read_picture(path)
            except UserError as error:
                if on_error is None:
                    raise
                on_error(path, error)
            else:
                yield path, self.predict(pixels)


def load_model(
    name: str | Path,
    weights: str | Path | None = None,
    device: str = "cpu",
    *,
    head: str | None = None,
    family: str | None = None,
    test: Mapping[str, Any] | None = None,
) -> Model:
    """Make a model of `list_models` and load its weights, or one that was trained here.

    Args:
        name: such as `pointrend_r50_fpn_coco`; or a `model.safetensors` written by a training of
            this project, which contains its own settings and classes.
        weights: for a named model, a checkpoint of detectron2 (`.pkl`, `.pth`), of DeepMask's
            authors (`.t7`) or of this project (`.safetensors`). None leaves the weights random,
            which a warning says: such a model has the right shapes and costs, but its predictions
            mean nothing.
        device: where to compute, such as `cpu` or `cuda`.
        head: your own mask head, `module:Class`, if the file has one: weights cannot choose code.
        family: the family of models from outside this package, if the file is of one.
        test: what to test with instead of the model's own settings, under the keys of `test` in an
            inference setting, such as `{"short_edge_px": 1000, "detections_per_image": 300}`.

    Raises:
        UserError: there is no such model or device, the file is faulty or does not fit, or `test`
            has a key that this kind of model lacks.
    """
    _require_no_other_file(name)
    if is_model_file(name):
        if weights is not None:
            raise UserError(f"{name}: is a model file, which has its own weights; give no others")
        saved = load_own_file(Path(name), head=head, family=family)
    elif weights is not None:
        saved = load_known_model(str(name), Path(weights))
    else:
        known_model(str(name))  # or a misspelt one would be called random first
        _warn_of_random_weights(str(name))
        saved = new_model(str(name))
    inference = default_inference(saved)
    if test:
        inference = with_test(inference, test, where="test")
    try:
        saved.model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch: the device is unknown or missing
        reason = str(error).splitlines()[0]
        raise UserError(f"device {device!r}: cannot be used ({reason})") from None
    return Model(str(name), saved, inference)


def _require_no_other_file(name: str | Path) -> None:
    if Path(name).suffix not in ("", ".safetensors"):
        raise UserError(
            f"{name}: only a model.safetensors that was trained here says which model it is; for "
            "other files, load_model(NAME, weights=...) with a name of list_models()"
        )


def _warn_of_random_weights(name: str) -> None:
    try:
        command = fetch_command(name, load_catalogue())
    except UserError:  # without a git clone, there is no catalogue
        command = None
    how = f"`{command}` fetches published ones" if command else "name a file that you have"
    _log.warning(
        "%s: no weights given, so they are random and predictions mean nothing; %s: "
        "load_model(NAME, weights=FILE)",
        *(name, how),
    )


def is_model_file(name: str | Path) -> bool:
    """Whether a model is given as a file instead of a name."""
    return isinstance(name, Path) or Path(name).suffix == ".safetensors"


def as_rgb(image: Any) -> NDArray[np.uint8]:
    """Return an image as uint8 (H, W, 3), repeating a single channel.

    Raises:
        UserError: it is not a uint8 array of an image, or has no pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = f"{image.dtype} array" if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f"image: must be a uint8 array (H, W, 3) in RGB, 0 to 255, not a {kind}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        raise UserError(f"image: must have the shape (H, W, 3), not {image.shape}")
    return np.broadcast_to(image, (*image.shape[:2], 3))
