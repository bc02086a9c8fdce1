"""What a record says of runs: the interrupted ones of a training, the last one of a prediction."""

from typing import Annotated

from pydantic import Field

from pointrend_repro.reporting.frozen import Frozen

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# A record comes from anywhere, and these become paths.
ModuleName = Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")]

# The code of a checkpoint that does not say by which it was made.
UNKNOWN = "unknown"


class DataRead(Frozen):
    """Which part of a data set a step read, and its fingerprint (`data.fingerprint`)."""

    part: str
    fingerprint: str


class Timing(Frozen):
    """How many images the last run of a prediction has predicted, in its main process.

    Those of an ensemble count for each of its models.
    """

    images: Annotated[int, Field(ge=0)]


class EarlierRun(Frozen):
    """A run of other code, data or machines that a training has continued.

    Its checkpoint may be of before records were kept in them: then only `iterations` is known, how
    many updates the run has made.
    """

    iterations: int
    started: str | None = None
    wall_s: Number | None = None
    device: str = UNKNOWN
    world_size: Annotated[int, Field(ge=1)] = 1
    git_commit: str | None = None
    code_digest: str = UNKNOWN
    code_modules: tuple[ModuleName, ...] = ()
    versions: dict[str, str] = {}
    data: DataRead | None = None

    @property
    def is_known(self) -> bool:
        """Whether its checkpoint says by which code it was made."""
        return self.code_digest != UNKNOWN
