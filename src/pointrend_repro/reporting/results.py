"""The one reader of metric files: what an evaluation wrote, checked against its schema."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from pointrend_repro.base.errors import DamagedError, UnreadError, UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.first_problem import first_problem
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cost, Evaluation, Prediction, Training
from pointrend_repro.reporting.earlier_runs import DataRead, EarlierRun, ModuleName, Number, Timing
from pointrend_repro.reporting.frozen import Frozen
from pointrend_repro.reporting.states import ALTERED, Digests, RecordsBeside, State, state_of
from pointrend_repro.settings.values import Split


class Record(Frozen):
    """What `provenance.start_record` says of one step.

    `input_digest` is of the model or the predictions that it has read, `output_digest` of what it
    has made (`digests`). `code_digest` is of `code_modules` or, in older records, which have none,
    of the whole package; `changed_during_run` names those of them whose files have changed since
    they were loaded. `continued_from` is of a training: the runs of other code, data or machines
    that it continued, whose time is part of `wall_s`; None says that `wall_s` is of its last run,
    whatever was before. `tested_with` is of a prediction: sizes and limits, the model's own or the
    inference setting's. `chosen_by` is of one that keeps what fits the annotated objects, which it
    reads beside `data`; `timing` is of its last run, as is its `wall_s`. `data_changed` is in no
    file: `data_state.mark_changed` sets it, and None says that what the step read was not compared
    with today's data.
    """

    command: str
    settings: dict[str, Any]
    settings_digest: str
    seed: int | None
    device: str
    world_size: Annotated[int, Field(ge=1)] = 1
    started: str
    wall_s: Number
    peak_memory_mb: Number
    git_commit: str | None
    code_digest: str
    code_modules: tuple[ModuleName, ...] | None = None
    changed_during_run: tuple[ModuleName, ...] = ()
    continued_from: tuple[EarlierRun, ...] | None = None
    timing: Timing | None = None
    tested_with: dict[str, Any] = {}
    versions: dict[str, str]
    data: DataRead | None = None
    chosen_by: DataRead | None = None
    input_digest: str | None = None
    output_digest: str | None = None
    started_from: "ModelRead | None" = None
    others: "tuple[ModelRead, ...]" = ()
    proposals_from: "ModelRead | None" = None
    data_changed: bool | None = None

    @property
    def data_read(self) -> list[DataRead]:
        """All that the step says it has read of a data set."""
        return [each for each in (self.data, self.chosen_by) if each is not None]

    @property
    def sources(self) -> "list[Source]":
        """The trainings that this step builds on beside those of its origin, in their order.

        A training begins with the weights of some, a prediction is made together with some, and
        both may read the boxes that the models of some have predicted.
        """
        read = [self.started_from, *self.others, self.proposals_from]
        found = [model.origin for model in read if model and model.origin]
        return [each for source in found for each in (*source.before, source)]


class Source(Frozen):
    """A training that another one started from, or whose model predicted together with others.

    `predict` is of the prediction whose boxes were read, if it is for them that it is named, and
    `train` is None if no trained model made these.
    """

    dataset: str
    variant: str
    trial: int
    train: Record | None = None
    inference: str = ""
    split: Split = "val"
    predict: Record | None = None

    @property
    def before(self) -> "list[Source]":
        """The trainings that it builds on itself."""
        read = self.predict.sources if self.predict else []
        return [*(self.train.sources if self.train else []), *read]

    @property
    def prediction(self) -> Prediction:
        """The place in the grid of the prediction whose boxes were read."""
        return Prediction(self.training, self.inference, split=self.split)

    @property
    def training(self) -> Training:
        """Its place in the grid."""
        return Training(self.dataset, self.variant, self.trial)


class TakenClasses(Frozen):
    """Names of the classes that a training took from its source by name, and of the others."""

    taken: tuple[str, ...]
    new: tuple[str, ...]


class ModelRead(Frozen):
    """The file of a model, or of its boxes, that a step has read; `origin` if it is from here."""

    file: str
    input_digest: str | None = None
    origin: Source | None = None
    classes: TakenClasses | None = None


class Origin(Frozen):
    """Which part of the experiment grid a number belongs to, and the steps that made it.

    A count has neither data set nor trial: nothing was trained for it.
    """

    preset: str
    dataset: str | None = None
    variant: str
    trial: int | None = None
    inference: str
    train: Record | None = None
    predict: Record | None = None
    evaluate: Record

    @property
    def steps(self) -> dict[str, Record]:
        """The steps by name, in the order in which they ran."""
        steps = {"train": self.train, "predict": self.predict, "evaluate": self.evaluate}
        return {name: record for name, record in steps.items() if record is not None}

    @property
    def path(self) -> str:
        """The folder of the prediction with this origin, below `results/<preset>/`."""
        return f"{self.dataset}/{self.variant}/trial{self.trial}/{self.inference}"


class Resampled(Frozen):
    """What `evaluation.bootstrap.resample` says: values of each key on resampled images."""

    resamples: int
    seed: int
    images: int
    values: dict[str, tuple[Number | None, ...]]


class Result(Frozen):
    """One metric file. A value of None means that there was nothing to score.

    Values are in percent unless `units` says otherwise; `by_class` is the metric's first value for
    each class, where it tells it. `state` is in no file: `load_results` sets it.
    """

    metric: str
    values: dict[str, Number | None]
    units: dict[str, str] = {}
    by_class: dict[str, Number | None] = {}
    origin: Origin
    resampled: Resampled | None = None
    state: State = "as made"

    @property
    def path(self) -> str:
        """Where it lies below `results/<preset>/`."""
        origin = self.origin
        if origin.dataset is None:
            return Cost(origin.variant, origin.inference, self.metric).path
        return f"{origin.path}/{self.metric}.json"

    @property
    def altered(self) -> str:
        """Why these are not the numbers that their record tells of; empty if they are."""
        return ALTERED.get(self.state, "")


Results = dict[Evaluation | Cost, Result]


def load_results(grid: Grid, results_dir: Path) -> Results:
    """Read the metric files of a preset that are there.

    Args:
        results_dir: the preset's folder, `results/<preset>`.

    Raises:
        DamagedError: a file is no metric file.
        UserError: a file holds the result of another experiment, or the system cannot read it.
    """
    found: Results = {}
    beside = RecordsBeside(grid, results_dir)
    sources: list[Evaluation | Cost] = [*grid.evaluations, *grid.costs]
    for evaluation in sources:
        path = results_dir / evaluation.path
        if path.exists():
            today = beside.of(evaluation) if isinstance(evaluation, Evaluation) else Digests()
            found[evaluation] = load_result(path, evaluation, grid.name, today)
    return found


def load_result(path: Path, evaluation: Evaluation | Cost, preset: str, today: Digests) -> Result:
    """Read the metric file of an evaluation or a count.

    Args:
        today: what the records of its model and predictions say.

    Raises:
        DamagedError, UserError: as `load_results`.
    """
    content = _read(path)
    result = _validate(path, content)
    # A file copied from elsewhere would lend its number a false origin.
    says = f"{result.origin.preset}/{result.path}"
    if says != f"{preset}/{evaluation.path}":
        raise UserError(f"{path}: holds the result of {says}; delete it and evaluate again")
    return result.model_copy(update={"state": state_of(content, today)})


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except UnreadError:
        raise
    except UserError as error:
        raise DamagedError(str(error), (path,), "delete it and evaluate again") from None


def _validate(path: Path, content: Any) -> Result:
    try:
        return Result.model_validate(content)
    except ValidationError as error:
        problem = f"{path}: not a metric file ({first_problem(error)})"
        raise DamagedError(problem, (path,), "delete it and evaluate again") from None
