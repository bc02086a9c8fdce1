"""Records that the report reads."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Read once, never changed. Keys that a later version adds do no harm."""

    model_config = ConfigDict(frozen=True)
