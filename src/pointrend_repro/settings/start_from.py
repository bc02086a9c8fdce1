"""What a training begins with: another training's weights, or those of a file.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import Annotated, Any

from pydantic import Field, model_validator

from pointrend_repro.base.names import Name
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.values import Strict

Part = Annotated[str, Field(pattern=r"^\w+(\.\w+)*$", max_length=200)]


class StartFrom(Strict):
    """The weights that a training begins with, by parts of a model.

    A part is the beginning of names in a model's `state_dict`: `backbone`, `rpn`, `box_head`,
    `mask_head.point_head`. What is taken has to be there in full and in the same shapes.
    """

    variant: Name | None = Field(
        None, description="of the training to start from; trial k starts from its trial k"
    )
    dataset: Name | None = Field(
        None, description="that it was trained on, as presets name it; none: the same one"
    )
    weights: str | None = Field(None, description="a file to start from instead, of any kind")
    parts: tuple[Part, ...] | None = Field(None, description="to take; none: all of the model")
    leave_out: tuple[Part, ...] = Field((), description="of these, such as classes of other data")
    frozen: tuple[Part, ...] = Field((), description="not trained, nor their statistics of BN")
    match_classes: bool = added(
        False,
        "layers of classes are taken for the classes that both models have, by name; others begin "
        "at random",
    )

    what_fits: bool = added(
        False,
        "the backbone and, of the rest, each layer that the file has for the same classes or none; "
        "the others begin at random and are named in the log",
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> "StartFrom":
        if (self.variant is None) == (self.weights is None):
            raise ValueError("start_from needs either variant or weights")
        if self.dataset is not None and self.variant is None:
            raise ValueError("start_from.dataset goes with variant, not with weights")
        if self.parts == ():
            raise ValueError("start_from.parts is empty; leave it out to take all of the model")
        if self.what_fits and (self.parts is not None or self.match_classes):
            raise ValueError("start_from.what_fits chooses by itself: no parts, no match_classes")
        return self

    def takes(self, name: str) -> bool:
        """Whether a tensor of this name is taken from the source."""
        chosen = self.parts is None or lies_in(name, self.parts)
        return chosen and not lies_in(name, self.leave_out)


class ResolvedStart(StartFrom):
    """What a training begins with, with all that decides it.

    `dataset` is the data set's own name here, no longer the preset's.
    """

    settings_digest: str | None = Field(None, description="of the training to start from")


# The setting of a training.
START_FROM: Any = added(None, "none: random weights, and those of an ImageNet classifier")


def lies_in(name: str, parts: tuple[str, ...]) -> bool:
    """Whether a tensor of this name belongs to one of some parts of a model."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)
