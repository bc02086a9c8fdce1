"""How a cell was made, in a line: part of what the page shows where one points at a number."""

from collections.abc import Callable, Sequence

from pointrend_repro.reporting.formats import commit, device, duration, memory
from pointrend_repro.reporting.origins import Trial
from pointrend_repro.reporting.runs import Run


def ran(trials: Sequence[Trial]) -> str:
    """Return where each trial was trained, or counted, and the least and most that this took."""
    runs = [_main_run(trial) for trial in trials]
    records = [run.record for run in runs]
    devices = dict.fromkeys(device(record.device) for record in records)
    times = _ends([record.wall_s for record in records], duration)
    peaks = _ends([record.peak_memory_mb for record in records], memory)
    where = f"{', '.join(devices)} in {times}, {peaks}"
    return f"Trained on {where}" if runs[0].name == "train" else f"Made on {where}"


def commits(trials: Sequence[Trial]) -> str:
    """Return the commits of all steps of all trials, with the steps where there are several."""
    steps: dict[str, dict[str, None]] = {}
    for run in (run for trial in trials for run in trial.runs):
        steps.setdefault(commit(run.record.git_commit), {})[run.name] = None
    if len(steps) == 1:
        return f"Commit {next(iter(steps))}"
    return "Commits " + ", ".join(f"{one} ({', '.join(names)})" for one, names in steps.items())


def _main_run(trial: Trial) -> Run:
    """Return its own training, which comes after those it was built on; else its first step."""
    trained = [run for run in trial.runs if run.name == "train"]
    return (trained or trial.runs[:1])[-1]


def _ends(values: Sequence[float], told: Callable[[float], str]) -> str:
    return " to ".join(dict.fromkeys((told(min(values)), told(max(values)))))
