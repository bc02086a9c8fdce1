"""What Snakemake's executor for Slurm does before and after each attempt at a job."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snakemake.io import is_flagged

# Snakemake itself makes the last two before a job begins, and backs the first up.
_NOT_REMOVED = ("update", "pipe", "service")

# Beside a model: those of our own trainings, and of detectron2's.
_CHECKPOINTS = ("checkpoints/iter_*.pt", "detectron2/*/model_*.pth")
# Beside a prediction: its finished parts, and those of each model of an ensemble (`in_parts.py`).
_PARTS = ("*.parts-*/*", "*.parts-*/*/*")
_PART = re.compile(r"\d{8}")
# Another digest is of a prediction that has begun anew, as on another kind of GPU.
_DIGEST = re.compile(r"\.parts-[^/]+")


async def remove_old_outputs(jobs: Iterable[Any]) -> None:
    """Remove what earlier jobs have left in the place of these jobs' outputs.

    Snakemake itself leaves that to the job. If the job then never starts, Snakemake notes the new
    settings beside the old files and, with `keep-incomplete`, takes them for results of the new
    ones. Logs and benchmarks stay.

    Args:
        jobs: that are about to be submitted; of a group, all its members are meant.

    Raises:
        ProtectedOutputException: a file is write-protected; nothing has been removed.
        OSError: a file cannot be removed.
    """
    members = [member for job in jobs for member in (job.jobs if job.is_group() else [job])]
    for member in members:
        await member.check_protected_output()
    for file in [file for member in members for file in member.output]:
        if not any(is_flagged(file, flag) for flag in _NOT_REMOVED):
            with contextlib.suppress(FileNotFoundError):
                await file.remove(remove_non_empty_dir=False)


class Progress:
    """Which trainings and predictions have got on since they were submitted."""

    def __init__(self) -> None:
        self._before: dict[Any, dict[str, int]] = {}

    def begin(self, jobs: Iterable[Any]) -> None:
        """Note what the jobs begin with."""
        self._before |= {job: _kept_by(job) for job in jobs}

    def has_made(self, job: Any) -> bool:
        """Whether a job has saved a newer checkpoint, or has more parts, than it began with."""
        before = self._before.pop(job, {})
        now = _kept_by(job)
        return any(reached > before.get(folder, -1) for folder, reached in now.items())


def _kept_by(job: Any) -> dict[str, int]:
    """How far each folder beside a job's outputs has got: its last iteration, or its parts."""
    found: dict[str, int] = {}
    folders = {Path(file).parent for file in job.output}
    with contextlib.suppress(OSError):  # of a shared disk; at worst it takes a retry
        for path in [path for each in folders for name in _CHECKPOINTS for path in each.glob(name)]:
            if numbered := re.search(r"_(\d+)$", path.stem):
                folder = str(path.parent)
                found[folder] = max(found.get(folder, 0), int(numbered[1]))
        parts = [path for each in folders for name in _PARTS for path in each.glob(name)]
        made = Counter(str(path.parent) for path in parts if _PART.fullmatch(path.stem))
        for folder, count in made.items():
            anew = _DIGEST.sub(".parts", folder)
            found[anew] = max(found.get(anew, 0), count)
    return found
