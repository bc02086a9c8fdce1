"""The runs of which a training consists: one, or several where it was interrupted.

Each checkpoint holds the record of its training up to then. So a run that continues it can tell
whose code, data and machines had a part in the weights. And a model that is made from the
checkpoint of a finished training keeps the record of the run that finished it, whatever has changed
since: nothing of today had a part in it.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base.own_code import running_digest

# What is told of a run that another one has continued.
_TOLD = (
    *("started", "peak_memory_mb", "device", "world_size", "git_commit"),
    *("code_digest", "code_modules", "changed_during_run", "versions", "data"),
)

_log = logging.getLogger(__name__)


class Parts:
    """The runs of a training, in process 0.

    Args:
        this_run: returns the record of this run up to now, as `provenance.start_record` does.
        folder: of the training; it is named to the user.
    """

    def __init__(self, this_run: Callable[[], dict[str, Any]], folder: Path) -> None:
        self._this_run = this_run
        self._folder = folder
        self._before: list[dict[str, Any]] = []
        self._finished: dict[str, Any] | None = None

    def go_on(self, record: Mapping[str, Any] | None, iterations: int, total: int) -> None:
        """Begin with what a checkpoint tells, and say in the log by whom it was made.

        Args:
            record: of the training up to there; None in checkpoints of before records were kept.
            iterations: how many updates it has had.
            total: how many make it finished.
        """
        self._before = _parts_of(record, iterations)
        if iterations >= total and record is not None:
            self._finished = dict(record)
        now = self._this_run()
        others = [
            part for part in self._before if not (_code_is_todays(part) and _data_is(part, now))
        ]
        tell = _log.warning if others else _log.info
        tell("%s", self._in_words(others, iterations, total))

    def record(self) -> dict[str, Any]:
        """Return the record of the training up to now.

        It is that of this run, but for the wall time of all runs and the most memory of any. Runs
        before it are told in `continued_from`, unless they are of the same code, data and machine.
        """
        if self._finished is not None:
            return dict(self._finished)
        now, before = self._this_run(), list(self._before)
        wall_s = now["wall_s"] + sum(part.get("wall_s", 0.0) for part in before)
        memory = [part["peak_memory_mb"] for part in before if "peak_memory_mb" in part]
        while before and _is_alike(before[-1], now):
            now["started"] = before.pop()["started"]
        now |= {"wall_s": round(wall_s, 3), "peak_memory_mb": max([now["peak_memory_mb"], *memory])}
        return now | {"continued_from": before}

    def _in_words(self, others: list[dict[str, Any]], iterations: int, total: int) -> str:
        whose = ", ".join(dict.fromkeys(_name(part) for part in others or self._before))
        whose = f"other code or data ({whose})" if others else f"the same code and data ({whose})"
        anew = f"to train anew, remove {self._folder} and run again"
        if iterations < total:
            return f"continuing after {iterations} of {total} updates by {whose}; {anew}"
        told = "its record stays" if self._finished else "no record of them was kept"
        return (
            f"nothing is trained: the {total} updates were made before by {whose}, and {told}; "
            f"{anew}"
        )


def _parts_of(record: Mapping[str, Any] | None, iterations: int) -> list[dict[str, Any]]:
    """Return what is told of each run behind a checkpoint, in their order."""
    if record is None:
        return [{"iterations": iterations}]
    before = list(record.get("continued_from", []))
    last = {key: record[key] for key in _TOLD if key in record}
    last["iterations"] = iterations - sum(part["iterations"] for part in before)
    last["wall_s"] = round(record["wall_s"] - sum(part.get("wall_s", 0.0) for part in before), 3)
    return [*before, last]


def _is_alike(part: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a run needs no mention, since all that is told of this one holds for it."""
    same = all(part.get(key) == now.get(key) for key in ("device", "world_size", "git_commit"))
    return (
        same
        and not part.get("changed_during_run")
        and _code_is_todays(part)
        and _data_is(part, now)
        and part["versions"].items() <= now["versions"].items()
        and set(part["code_modules"]) <= set(now["code_modules"])
    )


def _code_is_todays(part: Mapping[str, Any]) -> bool:
    """Whether a run was of the code that runs now; this one may have loaded more."""
    return "code_digest" in part and running_digest(part["code_modules"]) == part["code_digest"]


def _data_is(part: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return bool(part.get("data") == now.get("data"))


def _name(part: Mapping[str, Any]) -> str:
    if "code_digest" not in part:
        return "an older version, which does not say which"
    commit = part.get("git_commit")
    return f"code {part['code_digest']}" + (f" of commit {commit[:12]}" if commit else "")
