"""A family of models: its settings, its names in files, and the functions that train and predict.

Code that serves every family looks up here what differs between them. Code of one family or of some
(the export, the engines, drawings, mask heads) may ask what kind a model is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
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
    """Settings that name their family."""

    @property
    def family(self) -> str:
        """The name of the family."""
        ...


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of models.

    Functions are named by `module:function` and imported by `function` when they are called. A
    record is an element of a data set's `images`, one per image.

    Attributes:
        name: also that of the file, or of the entry point, that declares it.
        predictions: the kind of predictions that its models write.
        model: class of the settings that define a model.
        training: class of a resolved training's settings; None: nothing is trained, and `build`,
            `make_example` and `identity` are None, too.
        inference: class of a prediction's settings.
        recipe: class of the settings in which a paper, or a data set, says how models are trained.
        overrides: class of the changes that a preset makes to it.
        default_recipe: for variants that name none; None: each has to name one.
        engines: what else can train it: engine -> `module:NAME` of what that engine needs.
        build: makes a model, by (model settings, number of classes). The model is called with
            (images, targets) and returns named losses, has its settings as `settings`, and may
            have `start_iteration(iteration, total_iters)`, which is called before each update.
        weights: by model settings, the file of initial weights, which is fetched before training;
            None: initial weights are random.
        pretrained: loads that file, by (model, its settings); None: no model has initial weights.
        read: reads a split of a data set, by (its paths, split); the data set has `categories`
            and `images`.
        requires: refuses a data set that lacks what a model learns, by (data set, training
            settings, file=of the annotations); None: its models learn from any.
        trains_on: whether a record is used in training, by (record, training settings); None: all
            are.
        make_example: makes an image and its target from a record, by (record, settings=input
            settings, rng=NumPy's generator).
        example_settings: makes the `settings` of `make_example`, by (training settings, records
            that are used in training), for examples that depend on more than input settings.
        identity: the part of a record that decides the weights, as JSON.
        parameter_groups: what the optimizer trains, by (model, optimizer settings).
        predict: predicts a data set, by (saved model, data set, inference settings, path), and
            writes the predictions whole or not at all. Where nothing is trained there is no model:
            by (data set, inference settings, path, number of processes).
        takes_work: whether `predict` also takes `work`, `predictions.in_parts.Work`, which says how
            several processes predict together. Without it one process predicts.
        predict_image: predicts one image, by (saved model, RGB pixels, inference settings).
        is_joined: whether a model takes several micro-batches in one pass, as `parts`, so that
            batch normalisation uses all of a process's images.
        by_shape: whether a micro-batch has only wide or only tall images, so that little of it is
            padding; not where a model sees patches of one size.
        leaves_unused: by training settings, whether an update may leave a trainable parameter
            without gradient; used when several processes train.
        architecture: by model settings, what two models must share for one to replace the other.
        given_boxes: by model settings, those of a model that has no proposals of its own: boxes are
            given, as `proposals`, to `make_example`, (P, 4), and to `predict`, a mapping by image
            (`predictions.proposals`); None: the family takes none.
        speed: how long a training takes on published GPUs, by (speeds, training settings,
            layout), as `pipeline.planning.speeds.model_speed` returns it; None: unknown.
        prediction_factor: how many times as long as that says a prediction takes, by (inference
            settings, training settings), as a `Range`; None: as long, whatever is set.

    Raises:
        UserError: its settings name another family.
    """

    name: str
    predictions: str
    model: type[AnyModelSettings]
    inference: type[AnyInferenceSettings]
    read: str
    predict: str
    training: type[AnyTrainingSettings] | None = None
    build: str | None = None
    make_example: str | None = None
    identity: str | None = None
    recipe: type[Recipe] = Recipe
    overrides: type[FamilyOverrides] = FamilyOverrides
    default_recipe: str | None = None
    engines: Mapping[str, str] = field(default_factory=dict)
    weights: Callable[[Any], str | None] = lambda _: None
    pretrained: str | None = None
    requires: str | None = None
    trains_on: str | None = None
    example_settings: str | None = None
    parameter_groups: str = "pointrend_repro.training.parameter_groups:alike"
    takes_work: bool = False
    predict_image: str | None = None
    is_joined: bool = False
    by_shape: bool = True
    leaves_unused: Callable[[Any], bool] = lambda _: True
    architecture: Callable[[Any], tuple[str, ...]] = lambda _: ()
    given_boxes: Callable[[Any], AnyModelSettings] | None = None
    speed: str | None = None
    prediction_factor: str | None = None

    def __post_init__(self) -> None:
        for part in (self.model, *([self.training] if self.training else []), self.inference):
            said = part.model_fields["family"].default
            if said != self.name:
                raise UserError(f"family {self.name!r}: {part.__name__} says family {said!r}")
        for name in ("build", "make_example", "identity"):
            if self.is_trained and getattr(self, name) is None:
                raise UserError(f"family {self.name!r}: names no {name}")

    @property
    def is_trained(self) -> bool:
        """Whether its predictions come from trained models."""
        return self.training is not None

    def function(self, path: str | None) -> Any:
        """Import a function that this declaration names, and add its file to the records.

        Raises:
            UserError: there is none, or its module cannot be imported.
        """
        if path is None:
            raise UserError(f"family {self.name}: nothing is trained, so there is no model")
        found = load_function(path)
        modules = [path.partition(":")[0], *(part.__module__ for part in self._classes())]
        for module, digest in (outside_files(modules) | FAMILIES.files(self.name)).items():
            record_version(module, digest)
        return found

    def default_inference(self) -> AnyInferenceSettings:
        """Return the paper's inference settings."""
        return self.inference.model_validate({})

    def require(self, dataset: Any, settings: AnyTrainingSettings, file: Path) -> None:
        """Refuse a data set that lacks what a model of these settings learns.

        Raises:
            UserError: it does; the message begins with the file.
        """
        if self.requires is not None:
            self.function(self.requires)(dataset, settings, file=file)

    def training_records(self, dataset: Any, settings: AnyTrainingSettings) -> Sequence[Any]:
        """Return the records of a data set that are used in training."""
        if self.trains_on is None:
            return list(dataset.images)
        trains_on = self.function(self.trains_on)
        return [record for record in dataset.images if trains_on(record, settings)]

    def example_maker(self, settings: Any, records: Sequence[Any]) -> Callable[..., Any]:
        """Return what makes an example from a record, by (record, rng=...).

        Args:
            settings: of the training.
            records: that it uses.
        """
        given = settings.input
        if self.example_settings is not None:
            given = self.function(self.example_settings)(settings, records)
        return partial(self.function(self.make_example), settings=given)

    def _classes(self) -> list[type[BaseModel]]:
        trained = [self.training] if self.training else []
        return [self.model, *trained, self.inference, self.recipe, self.overrides]


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
    """Return the family of the settings."""
    return FAMILIES.find(settings.family)


def family_in(values: Mapping[str, Any]) -> str:
    """Return the name of the family of a variant, a saved model or a training's record.

    Args:
        values: as in the file; with a `model` in them.
    """
    model = values.get("model")
    inside = model if isinstance(model, Mapping) else {}
    named = values.get("family", inside.get("family"))
    if named is not None:
        return str(named)
    return "semantic" if "decoder" in inside else "mask_rcnn"


def recorded_class(values: Mapping[str, Any]) -> type[BaseModel] | None:
    """Return the class of the settings in a record of a training or a prediction.

    None if they are of neither, or of a family that is not installed.
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
