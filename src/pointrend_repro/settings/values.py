"""What all settings share: limits of numbers, refusing unknown keys, and merging."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# A downloaded weights file brings such settings too: they must not ask for absurd memory.
ImageEdge = Annotated[int, Field(gt=0, le=16384)]
RoiEdge = Annotated[int, Field(gt=0, le=256)]

Split = Literal["train", "val"]


class Strict(BaseModel):
    """Settings that reject unknown keys and cannot be changed after they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with another one merged over it, key by key at every depth."""
    found = dict(base)
    for key, value in over.items():
        old = found.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = merged(old, value)
        found[key] = value
    return found
