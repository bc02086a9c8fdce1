"""What a preset makes: trainings, predictions, evaluations and counts, and where each lies."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Training:
    """One training: a variant on a data set, with the trial that seeds it."""

    dataset: str
    variant: str
    trial: int

    @property
    def folder(self) -> str:
        """Path of its results below `results/<preset>/`."""
        return f"{self.dataset}/{self.variant}/trial{self.trial}"


@dataclass(frozen=True, order=True)
class Prediction:
    """One pass of a trained model, or of several together, over the validation images.

    `others` predict together with the model of `training`, in whose folder the results lie.
    """

    training: Training
    inference: str
    others: tuple[Training, ...] = ()

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Those of all of its models."""
        return (self.training, *self.others)

    @property
    def folder(self) -> str:
        """Path of its results below `results/<preset>/`."""
        return f"{self.training.folder}/{self.inference}"


@dataclass(frozen=True, order=True)
class Evaluation:
    """One official metric of one set of predictions."""

    prediction: Prediction
    metric: str

    @property
    def path(self) -> str:
        """Path of its JSON below `results/<preset>/`."""
        return f"{self.prediction.folder}/{self.metric}.json"


@dataclass(frozen=True, order=True)
class Cost:
    """The count of one mask head's operations, for which nothing is trained."""

    variant: str
    inference: str

    @property
    def path(self) -> str:
        """Path of its JSON below `results/<preset>/`."""
        return f"cost/{self.variant}/{self.inference}.json"


@dataclass(frozen=True)
class Cell:
    """One number of a table, and where it comes from in this preset.

    `evaluations` holds one evaluation a trial, or a cost; it is empty when the preset does not run
    the cell, and `not_run_because` then says why.
    """

    table: str
    row: str
    column: str
    evaluations: tuple[Evaluation | Cost, ...]
    not_run_because: str = ""


def evaluation_rule(metrics: tuple[str, ...]) -> str:
    """Return the name of the rule that scores predictions by these metrics."""
    return "_".join(["evaluate", *metrics])
