"""What the settings of every family of models share.

A family (`declarations.family`) has classes of its own for each of these. Their field `family`
names it: a new family writes `family: Literal["<name>"] = "<name>"`, and all its files name it too.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import AfterValidator, Field, model_validator

from pointrend_repro.base.errors import suggest
from pointrend_repro.base.names import Name
from pointrend_repro.settings.at_test import SizeAtTest, on_top
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.proposals_from import PROPOSALS_FROM, ResolvedProposals
from pointrend_repro.settings.schedule import (
    OWN_ENGINE,
    Engine,
    InputSettings,
    OptimizerSettings,
    RunSettings,
    ScheduleSettings,
)
from pointrend_repro.settings.start_from import START_FROM, ResolvedStart, StartFrom
from pointrend_repro.settings.values import Strict, merged


class AnyModelSettings(Strict):
    """Everything that decides a model's parameters and how it is trained on one image."""

    family: str

    @property
    def predicts(self) -> frozenset[str] | None:
        """What its predictions hold, as metrics name it in `scores`; None: all of their kind."""
        return None


class AnyInferenceSettings(Strict):
    """How a trained model makes its predictions.

    Attributes:
        keeps_size: whether images are seen at their own size unless `test` asks for another; false:
            at that of the training's input settings.
    """

    keeps_size: ClassVar[bool] = False

    family: str
    test: SizeAtTest = added(SizeAtTest(), "what the model is tested with instead of its own")

    @property
    def chooses_by_objects(self) -> bool:
        """Whether annotated objects decide which predictions are kept."""
        return False


Inference = TypeVar("Inference", bound=AnyInferenceSettings)


class AnyTrainingSettings(Strict):
    """One training, resolved; a family has types of its own for model, input and optimizer."""

    family: str
    engine: Engine = Field(OWN_ENGINE, description="trains and predicts; docs/detectron2.md")
    model: Any
    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings
    run: RunSettings = RunSettings()
    start_from: ResolvedStart | None = START_FROM
    proposals_from: ResolvedProposals | None = PROPOSALS_FROM


class Recipe(Strict):
    """How models are trained on some data; a family may have types of its own for these."""

    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedules: dict[Name, ScheduleSettings]


def _is_a_file(start: StartFrom) -> StartFrom:
    if start.weights is None:
        raise ValueError("a preset names weights; which training to start from says a variant")
    return start


# Of the models whose variant says nothing of it.
StartFromFile = Annotated[StartFrom, AfterValidator(_is_a_file)]


class FamilyOverrides(Strict):
    """What a preset changes in a family's models, merged over variant and recipe."""

    model: dict[str, Any] = {}
    trunk: dict[str, dict[str, Any]] = Field({}, description="of backbone, by the variant's trunk")
    input: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    schedule: dict[str, Any] = {}
    schedules: dict[str, dict[str, Any]] = Field(
        {}, description="of single schedules, by the names that variants give them"
    )
    start_from: StartFromFile | None = None
    linear_rule: bool = Field(
        False,
        description="learning rates follow images_per_batch in proportion, if not set",
    )
    test: SizeAtTest = Field(SizeAtTest(), description="of all predictions; retrains nothing")

    @model_validator(mode="after")
    def _trunks_exist(self) -> "FamilyOverrides":
        names = get_args(BackboneSettings.model_fields["name"].annotation)
        require_known("trunk", self.trunk, names)
        return self

    def of_optimizer(self, optimizer: dict[str, Any]) -> dict[str, Any]:
        """Return a recipe's optimizer with the changes that apply to it, as plain values.

        By the linear rule (Goyal et al., 1706.02677), a batch of half the size takes half the rate.
        """
        changed = merged(optimizer, self.optimizer)
        batch = changed["images_per_batch"]
        if self.linear_rule and "base_lr" not in self.optimizer and isinstance(batch, int):
            for key in {"base_lr", "warmup_start_lr"} - set(self.optimizer):
                changed[key] = optimizer[key] * batch / optimizer["images_per_batch"]
        return changed

    def of_schedule(self, name: str, schedule: dict[str, Any]) -> dict[str, Any]:
        """Return a schedule with the changes that apply to it, as plain values."""
        return merged(merged(schedule, self.schedule), self.schedules.get(name, {}))

    def of_model(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of a model with the changes that apply to it, as plain values."""
        changed = merged(model, self.model)
        if self.trunk and "backbone" in model:
            own = self.trunk.get(model["backbone"]["name"], {})
            changed["backbone"] = merged(changed["backbone"], own)
        return changed

    def of_inference(self, inference: Inference, model: AnyModelSettings) -> Inference:
        """Return how a model predicts with the changes that apply to it."""
        test = on_top(inference.test, self.test)
        return inference.model_copy(update={"test": test} | self.beside_test(model))

    def beside_test(self, model: AnyModelSettings) -> dict[str, Any]:
        """Return what is changed of a model's predictions beside `test`: by default nothing."""
        return {}


def require_kinds(key: str, given: dict[str, Any], union: Any) -> None:
    """Refuse overrides of an unknown kind.

    Args:
        key: the section of the overrides, by kind.
        union: of settings that have a `kind` each.

    Raises:
        ValueError: with the kind that may have been meant.
    """
    members = get_args(get_args(union)[0])
    kinds = [get_args(member.model_fields["kind"].annotation)[0] for member in members]
    require_known(key, given, kinds)


def require_known(key: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are not known, with the one that may have been meant.

    Raises:
        ValueError: there is such a name.
    """
    for kind in given:
        if kind not in known:
            raise ValueError(f"{key} has no kind {kind!r}{suggest(kind, list(known))}")
