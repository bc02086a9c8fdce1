"""The conditions that a preset's numbers were made under, from the records of its steps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation, Training
from pointrend_repro.reporting import altered, data_state, settings_state
from pointrend_repro.reporting.behind import records_behind
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.earlier_runs import EarlierRun
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
        gpu_hours: wall time times number of GPUs, over the trainings on GPUs.
        cpu_hours: wall time of the trainings on CPUs, whatever their number of cores; likewise.
        last_parts_only: whether these leave out what came before an interruption of some training,
            as older records do.
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
    last_parts_only: bool
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
    behind = [[record for _, record in records_behind(r.origin)] for r in results.values()]
    records = [record for of_one in behind for record in of_one]
    parts = [run for record in records for run in record.continued_from or ()]
    days = sorted(
        [record.started[:10] for record in records] + [p.started[:10] for p in parts if p.started]
    )
    commits = {record.git_commit for record in records}
    commits |= {part.git_commit for part in parts if part.is_known}
    others = [{digest for each in of_one for digest in code.others(each)} for of_one in behind]
    runs = [run for record in trainings.values() for run in _runs(record)]
    return Conditions(
        datasets={name: grid.datasets[name].title for name in sorted(grid.datasets)},
        data=data_state.in_words(results),
        numbers=altered.in_words(results),
        settings=settings_state.in_words(grid, results),
        scale=scale_of(grid, grid.trainings).lines,
        devices=tuple(sorted({record.device for record in records})),
        trainings_done=len(trainings),
        trainings_planned=len(grid.trainings),
        gpu_hours=sum(wall_s * gpu_count(run) for run, wall_s in runs) / 3600,
        cpu_hours=sum(wall_s for run, wall_s in runs if not gpu_count(run)) / 3600,
        last_parts_only=any(map(_is_of_last_part, trainings.values())),
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
        commits=tuple(sorted(commits, key=str)),
        versions=_versions([*records, *parts]),
        results=len(results),
        results_of_other_code=sum(map(bool, others)),
        other_codes=tuple(sorted(set().union(*others))),
        code_digest=code.digest,
    )


def _versions(records: Sequence[Record | EarlierRun]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for record in records:
        for library, version in record.versions.items():
            found.setdefault(library, set()).add(version)
    return {library: tuple(sorted(found[library])) for library in sorted(found)}


def _runs(record: Record) -> list[tuple[Record | EarlierRun, float]]:
    """Return the runs of a training, each with its own wall time in seconds."""
    before = [(run, run.wall_s or 0.0) for run in record.continued_from or ()]
    return [*before, (record, record.wall_s - sum(wall_s for _, wall_s in before))]


def _is_of_last_part(record: Record) -> bool:
    """Whether the wall time in the record of a training may leave out a run that it continued."""
    before = record.continued_from
    return before is None or any(run.wall_s is None for run in before)


def gpu_count(record: Record | EarlierRun) -> int:
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
