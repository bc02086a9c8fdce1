"""What Snakemake's executor for Slurm does before and after each attempt at a job."""

import contextlib
from collections.abc import Iterable
from typing import Any

from snakemake.io import is_flagged

# Snakemake itself makes the last two before a job begins, and backs the first up.
_NOT_REMOVED = ("update", "pipe", "service")


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
