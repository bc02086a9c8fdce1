"""A family of models: its settings, its place in files, and by what it is trained and predicts.

Nobody else asks what kind a model is: all that differs between families is looked up here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import record_version
from pointrend_repro.declarations.finding import Declared, load_function, outside_files
from pointrend_repro.settings.of_family import (
    AnyInferenceSettings,
    AnyModelSettings,
    AnyTrainingSettings,
    FamilyOverrides,
    Recipe,
)


class OfFamily(Protocol):
    """Settings that say of which family they are."""

    @property
    def family(self) -> str:
        """The name of the family."""
        ...


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of models.

    Functions are named by `module:function` and imported when they are called, by `function`. A
    record is what a data set's `images` hold, one an image.

    Attributes:
        name: also that of the file, or of the entry point, which declares it.
        predictions: the kind of predictions that its models write.
        model: class of the settings that decide a model.
        training: class of those of a training, resolved.
        inference: class of those of a prediction.
        recipe: class of how a paper, or a data set, says that its models are trained.
        overrides: class of what a preset changes of it.
        default_recipe: the one of a variant that names none; None: each has to.
        engines: who else can train it: engine -> `module:NAME` of what that engine asks of it.
        build: makes a model, by (model settings, number of classes). The model is called with
            (images, targets) and returns named losses, has its settings as `settings`, and may
            have `start_iteration(iteration, total_iters)`, which is called before each update.
        weights: by model settings, the file that a new model begins with, which is fetched before;
            None: it begins at random.
        pretrained: loads that file, by (model, its settings); None: no model begins with one.
        read: reads a split of a data set, by (where it lies, split); the data set has `categories`
            and `images`.
        trains_on: whether a record is trained on; None: all are.
        make_example: makes an image and its target of a record, by (record, settings=input
            settings, rng=NumPy's generator).
        identity: what of a record decides the weights, as JSON.
        parameter_groups: what the optimizer trains, by (model, optimizer settings).
        predict: predicts a data set, by (saved model, data set, inference settings, path), and
            writes the predictions whole or not at all.
        predict_image: predicts one picture, by (saved model, RGB pixels, inference settings).
        is_joined: whether a model takes several micro-batches in one pass, as `parts`, so that
            batch normalisation sees all of a process's images.
        leaves_unused: by training settings, whether an update may leave a trainable parameter
            without gradient; asked when several processes train.
        architecture: by model settings, what two models must share for one to stand for the other.
        given_boxes: by model settings, those of a model that has no proposals of its own: boxes are
            given, as `proposals`, to `make_example`, (P, 4), and to `predict`, a mapping by image
            (`predictions.proposals`); None: the family takes none.
        speed: what a training takes on published GPUs, by (speeds, training settings, layout), as
            `pipeline.planning.speeds.model_speed` returns it; None: it is planned without times.

    Raises:
        UserError: its settings say that they are of another family.
    """

    name: str
    predictions: str
    model: type[AnyModelSettings]
    training: type[AnyTrainingSettings]
    inference: type[AnyInferenceSettings]
    build: str
    read: str
    make_example: str
    identity: str
    predict: str
    recipe: type[Recipe] = Recipe
    overrides: type[FamilyOverrides] = FamilyOverrides
    default_recipe: str | None = None
    engines: Mapping[str, str] = field(default_factory=dict)
    weights: Callable[[Any], str | None] = lambda _: None
    pretrained: str | None = None
    trains_on: str | None = None
    parameter_groups: str = "pointrend_repro.training.parameter_groups:alike"
    predict_image: str | None = None
    is_joined: bool = False
    leaves_unused: Callable[[Any], bool] = lambda _: True
    architecture: Callable[[Any], tuple[str, ...]] = lambda _: ()
    given_boxes: Callable[[Any], AnyModelSettings] | None = None
    speed: str | None = None

    def __post_init__(self) -> None:
        for part in (self.model, self.training, self.inference):
            said = part.model_fields["family"].default
            if said != self.name:
                raise UserError(f"family {self.name!r}: {part.__name__} says family {said!r}")

    def function(self, path: str) -> Any:
        """Import a function that this declaration names, and let the records tell of its file.

        Raises:
            UserError: there is none, or its module cannot be imported.
        """
        found = load_function(path)
        modules = [path.partition(":")[0], *(part.__module__ for part in self._classes())]
        for module, digest in (outside_files(modules) | FAMILIES.files(self.name)).items():
            record_version(module, digest)
        return found

    def default_inference(self) -> AnyInferenceSettings:
        """Return the paper's way to ask a model for its predictions."""
        return self.inference.model_validate({})

    def training_records(self, dataset: Any) -> Sequence[Any]:
        """Return the records of a data set that are trained on."""
        if self.trains_on is None:
            return list(dataset.images)
        trains_on = self.function(self.trains_on)
        return [record for record in dataset.images if trains_on(record)]

    def _classes(self) -> list[type[BaseModel]]:
        return [self.model, self.training, self.inference, self.recipe, self.overrides]


FAMILIES = Declared(
    what="family",
    declaration=Family,
    folder="pointrend_repro.declarations.families",
    attribute="FAMILY",
    group="pointrend_repro.families",
)

# Files name all families but these two, which are older than families: a `decoder` is semantic's.
_UNNAMED = ("mask_rcnn", "semantic")


def family_of(settings: OfFamily) -> Family:
    """Return the family of some settings."""
    return FAMILIES.find(settings.family)


def family_in(values: Mapping[str, Any]) -> str:
    """Return the name of the family that a variant, a saved model or a record of a training is of.

    Args:
        values: as they stand in the file; with a `model` in them.
    """
    model = values.get("model")
    inside = model if isinstance(model, Mapping) else {}
    named = values.get("family", inside.get("family"))
    if named is not None:
        return str(named)
    return "semantic" if "decoder" in inside else "mask_rcnn"


def recorded_class(values: Mapping[str, Any]) -> type[BaseModel] | None:
    """Return the class of the settings that a record of a training or a prediction holds.

    None where they are neither's, or of a family that is not installed.
    """
    if isinstance(values.get("model"), Mapping):
        name = family_in(values)
        return FAMILIES.find(name).training if name in FAMILIES.names() else None
    if "family" in values:
        name = str(values["family"])
        return FAMILIES.find(name).inference if name in FAMILIES.names() else None
    for name in _UNNAMED if values else ():
        inference = FAMILIES.find(name).inference
        if set(values) <= set(inference.model_fields):
            return inference
    return None
