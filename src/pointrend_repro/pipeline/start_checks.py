"""Checks before the first job: what Snakemake ignores silently, or reports with a traceback."""

import argparse
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.origins import origin_path
from pointrend_repro.pipeline.resources import Slurm

# A server's clock that is minutes ahead of ours does no harm: it dates all files.
_CLOCKS_DIFFER_S = 600
# Of a reason of Snakemake's, which may list hundreds of files.
_LONGEST_REASON = 300

# In a clone, besides its own files: Snakemake's metadata, and what the rules write.
_FOLDERS = (".snakemake", "data", "logs", "reports", "results")


def require_workflow_profile(arguments: Sequence[str], snakefile: Path) -> None:
    """Refuse a `--workflow-profile` that does not exist: Snakemake would run without one.

    Args:
        arguments: Snakemake's command line. In another program's, none is found.
        snakefile: the main one; Snakemake also looks beside it.

    Raises:
        UserError: there is neither a folder nor a file of this name where Snakemake looks.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--workflow-profile")
    parser.add_argument("--directory", "-d")
    try:
        asked, _ = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError:
        return
    name = asked.workflow_profile
    if name in {None, "", "none"}:
        return
    # Snakemake looked before it changed to the folder of `--directory`.
    started_in = Path(os.environ.get("PWD", "") if asked.directory else "")
    folders = [started_in, started_in / "profiles", snakefile.parent / "profiles"]
    if any((folder / name).exists() for folder in folders):
        return
    found = {path.parent.name for folder in folders for path in folder.glob("*/config*.yaml")}
    known = sorted(found - {"config"})  # the pipeline's own folder, which is not a profile
    # Each place once, in Snakemake's order, and as it was typed if possible.
    places = {(folder / name).absolute(): str(folder / name) for folder in reversed(folders)}
    raise UserError(
        f"--workflow-profile {name}: there is neither {' nor '.join(reversed(places.values()))}, "
        f"and without one the jobs would run on this machine{suggest(name, known)}"
    )


def require_slurm_settings(executor: str, slurm: Slurm | None) -> None:
    """Refuse to send jobs to Slurm without its settings: they would get no GPUs and no warnings.

    Args:
        executor: the name of Snakemake's.
        slurm: None if no configuration file has them.

    Raises:
        UserError: jobs go to Slurm, and there are none.
    """
    if executor == "slurm" and slurm is None:
        raise UserError(
            "--executor slurm: no configuration has the key slurm, without which jobs get no GPUs; "
            "a --configfile takes the place of the profile's, so name both: "
            "--profile slurm --configfile slurm/cluster.yaml YOURS"
        )


def require_working_folder() -> None:
    """Refuse to plan in a folder where Snakemake cannot work or the results are out of reach.

    Raises:
        UserError: it is not writable, or something that should be a folder in it is not one.
    """
    for folder in map(Path, _FOLDERS):
        if os.path.lexists(folder):
            _require_folder(folder)
    notes = Path(_FOLDERS[0])
    _require_right(notes if notes.exists() else Path.cwd())


def require_places_to_write(files: Iterable[str]) -> None:
    """Refuse to start if a file cannot be written.

    Args:
        files: that the jobs will write. Missing folders will be made.

    Raises:
        UserError: a folder is a broken link, not a folder, or not writable.
    """
    for folder in sorted({Path(file).parent for file in files}):
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        _require_folder(there)
        _require_right(there)


def _require_folder(path: Path) -> None:
    if not path.exists():
        raise UserError(
            f"{path}: is a link to {path.readlink()}, which is not there; make that folder, or "
            "remove the link"
        )
    if not path.is_dir():
        raise UserError(f"{path}: should be a folder, and is not; move it away")


def _require_right(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        why = "its file system is read-only" if read_only else "you have no right to"
        raise UserError(
            f"{folder}: cannot be written to ({why}); make it writable, or put a link to another "
            "folder in its place"
        )


def require_sound_data(command: Sequence[str], record: str) -> None:
    """Refuse to start if a data set that was checked before would fail its check now.

    All results are made from the record, and Snakemake deletes it before it runs the check. So
    after one run with the wrong folder the next, with the right one, would make everything anew.

    Args:
        command: that checks the data, without `--output`.
        record: what it wrote the last time; without one there is nothing to lose.

    Raises:
        UserError: the check fails; the message is its own.
    """
    # With conda or containers the command may be in the rules' environments alone.
    if not Path(record).exists() or shutil.which(command[0]) is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "dataset.json")
        done = subprocess.run(
            [*command, "--output", output], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UserError(f"{said.removeprefix('pointrend-repro: error: ')}; nothing was started")


def require_files_of_the_past(files: Iterable[str], now: float) -> None:
    """Refuse to start with files from the future: files made from them would look older.

    Snakemake would make each, find it outdated, and fail, every time until that day.

    Args:
        files: that the jobs will read and that no job makes.
        now: in seconds since 1970.

    Raises:
        UserError: some are dated several minutes or more after `now`.
    """
    dated = {file: time_s for file in files if (time_s := _modified_s(file)) is not None}
    ahead = sorted(file for file in dated if dated[file] > now + _CLOCKS_DIFFER_S)
    if ahead:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(dated[ahead[0]]))
        others = f", and {len(ahead) - 1} more" if len(ahead) > 1 else ""
        raise UserError(
            f"{ahead[0]}: is dated {day}, in the future{others}; Snakemake would call everything "
            "made from it outdated. Give it today's date with `touch`, or set this machine's clock"
        )


def trained_anew_in_words(reasons: Mapping[str, str]) -> str | None:
    """Return in one line which finished models a run is about to train anew; None: none.

    Args:
        reasons: Snakemake's, for each training that is to do, by the model that it makes.
    """
    finished = sorted(
        model
        for model, reason in reasons.items()
        if all(path.exists() for path in (Path(model), origin_path(Path(model))))
        and "Incomplete output" not in reason  # killed while it was written: it goes on
    )
    if not finished:
        return None
    why = " ".join(reasons[finished[0]].split())
    why = why if len(why) <= _LONGEST_REASON else f"{why[:_LONGEST_REASON]}..."
    others = f" and {len(finished) - 1} more" if finished[1:] else ""
    return (
        f"{finished[0]}{others}: finished, and trained anew by this run ({why}). If that is not "
        "meant, stop it: the same settings, and the same folders of data in the same words, keep "
        "what is there"
    )


def _modified_s(file: str) -> float | None:
    """When, for Snakemake, a file, a link or a folder was made; None if it does not exist."""
    try:
        times = [Path(file).stat().st_mtime]
    except OSError:
        return None
    with contextlib.suppress(OSError):  # Snakemake's own marker of a folder made by a rule
        times = [(Path(file) / ".snakemake_timestamp").stat().st_mtime]
    if Path(file).is_symlink():
        times.append(Path(file).lstat().st_mtime)
    return max(times)
