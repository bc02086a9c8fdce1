"""What all settings share: limits of numbers, names of engines, and refusing what is unknown."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# A file of weights brings such settings along: they must not ask for more memory than there is.
ImageEdge = Annotated[int, Field(gt=0, le=16384)]
RoiEdge = Annotated[int, Field(gt=0, le=256)]

Engine = Literal["pointrend_repro", "detectron2"]
OWN_ENGINE: Engine = "pointrend_repro"


class Strict(BaseModel):
    """Settings that reject unknown keys and cannot be changed after they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
