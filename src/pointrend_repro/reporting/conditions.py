"""The conditions that a preset's numbers were made under, from the records of its steps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation, Training
from pointrend_repro.reporting import altered, data_state, settings_state
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.results import Record, Results
from pointrend_repro.reporting.scale import scale_of


@dataclass(frozen=True)
class Conditions:
    """What all numbers of a report were made with and under.

    Attributes:
        datasets: title of each data set, by name.
        data: whether the data have changed since, in words.
        numbers: whether the numbers are as they were made, in words.
        settings: whether they were made with today's settings, in words.
        scale: what the preset makes of the paper's models, images and schedules, in words; empty
            where nothing.
        devices: of all steps, in words.
        trainings_done: how many of the `trainings_planned` have a number to show.
        gpu_hours: wall time times number of GPUs, over the trainings on GPUs; of an interrupted
            training the last part only, which is what its record has.
        cpu_hours: wall time of the trainings on CPUs, whatever their number of cores; likewise.
        first_day: on which the first step began, such as `2024-05-01`; None before any.
        last_day: on which the last step began.
        commits: of all steps; None stands for code outside git.
        versions: those of each library that the steps name.
        results: how many metric files there are.
        results_of_other_code: how many of them have a step by other code than today's.
        other_codes: digests of that code.
        code_digest: that of all of today's.
    """

    datasets: dict[str, str]
    data: str
    numbers: str
    settings: str
    scale: tuple[str, ...]
    devices: tuple[str, ...]
    trainings_done: int
    trainings_planned: int
    gpu_hours: float
    cpu_hours: float
    first_day: str | None
    last_day: str | None
    commits: tuple[str | None, ...]
    versions: dict[str, tuple[str, ...]]
    results: int
    results_of_other_code: int
    other_codes: tuple[str, ...]
    code_digest: str


def gather_conditions(grid: Grid, results: Results, code: TodaysCode) -> Conditions:
    """Gather the conditions from the records of the results that are there.

    Args:
        code: today's, to tell results of other code.
    """
    trainings = {t: r for t, r in _trainings(results).items() if t in set(grid.trainings)}
    records = [step for result in results.values() for step in result.origin.steps.values()]
    days = sorted(record.started[:10] for record in records)
    others = [
        {s.code_digest for s in result.origin.steps.values() if not code.has_run(s)}
        for result in results.values()
    ]
    return Conditions(
        datasets={name: grid.datasets[name].title for name in sorted(grid.datasets)},
        data=data_state.in_words(results),
        numbers=altered.in_words(results),
        settings=settings_state.in_words(grid, results),
        scale=scale_of(grid, grid.trainings).lines,
        devices=tuple(sorted({record.device for record in records})),
        trainings_done=len(trainings),
        trainings_planned=len(grid.trainings),
        gpu_hours=sum(r.wall_s * gpu_count(r) for r in trainings.values()) / 3600,
        cpu_hours=sum(r.wall_s for r in trainings.values() if not gpu_count(r)) / 3600,
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
        commits=tuple(sorted({record.git_commit for record in records}, key=str)),
        versions=_versions(records),
        results=len(results),
        results_of_other_code=sum(map(bool, others)),
        other_codes=tuple(sorted(set().union(*others))),
        code_digest=code.digest,
    )


def _versions(records: Sequence[Record]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for record in records:
        for library, version in record.versions.items():
            found.setdefault(library, set()).add(version)
    return {library: tuple(sorted(found[library])) for library in sorted(found)}


def gpu_count(record: Record) -> int:
    """Return on how many GPUs a step ran, of which each process has one; 0 on a CPU.

    The number is the record's `world_size`, or stands before the device: `4 x cuda (NVIDIA A100)`.
    """
    numbers = re.findall(r"(?<![\w.])(\d+)\s*[x×]\s", record.device)
    if re.match(r"(\d+\s*[x×]\s*)?cpu\b", record.device, re.IGNORECASE):
        return 0
    return max(record.world_size, sum(map(int, numbers)), 1)


def _trainings(results: Results) -> dict[Training, Record]:
    """Return each training's record once, though it stands in the file of every metric."""
    found: dict[Training, Record] = {}
    for evaluation, result in results.items():
        if isinstance(evaluation, Evaluation) and result.origin.train:
            for step in result.origin.steps.values():
                found |= {s.training: s.train for s in step.sources if s.train}
            found[evaluation.prediction.training] = result.origin.train
    return found
