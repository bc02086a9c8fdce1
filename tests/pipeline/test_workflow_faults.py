"""The pipeline killed at its worst moments: run again, it ends with the same numbers.

Trainings that are killed, full disks and damaged files are in tests/training/test_faults.py;
jobs of a cluster in tests/slurm.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from config_files import CLAIMS, config_file
from small_experiment import DATASET, OVERRIDES, PRESET, VARIANT, CocoBuilder
from working_copy import WorkingCopy, make_copy

pytestmark = pytest.mark.slow


ROW = "pointrend_28"
FOLDER = Path("results") / PRESET / DATASET / VARIANT / "trial0"
METRICS = Path("results") / PRESET / "metrics.csv"
DYING = "dies-while-writing"

# The command, which dies with half of a file on the disk if that file is named in `DYING`.
MORTAL = f"""#!{sys.executable}
import os, signal
from pathlib import Path
from pointrend_repro.cli import main

fault = Path("{DYING}")
replace = Path.replace

def dying(path, target):
    if fault.exists() and Path(target).name == fault.read_text():
        fault.unlink()
        with path.open("r+b") as stream:
            stream.truncate(path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)

Path.replace = dying
main()
"""


def small_copy(folder: Path, data: Path) -> WorkingCopy:
    """One model that trains for eight updates, with one row in one table."""
    copy = make_copy(folder)
    preset = {
        "title": "Quick",
        "warning": "Preset quick: for tests.",
        "tables": ["table1"],
        "datasets": {"coco": DATASET},
        "trials": {"coco": 1},
        "overrides": OVERRIDES,
    }
    (copy.folder / f"config/presets/{PRESET}.yaml").write_text(yaml.safe_dump(preset))
    table = config_file("tables/table1", copy.folder / "config")
    content = yaml.safe_load(table.read_text())
    content["rows"] = {ROW: content["rows"][ROW]}
    table.write_text(yaml.safe_dump(content, sort_keys=False))
    config_file(CLAIMS, copy.folder / "config").write_text("{}\n")
    config = copy.folder / "config/config.yaml"
    content = yaml.safe_load(config.read_text()) | {"preset": PRESET, "data_root": str(data)}
    config.write_text(yaml.safe_dump(content))
    command = copy.folder / "bin/pointrend-repro"
    command.parent.mkdir()
    command.write_text(MORTAL)
    command.chmod(0o755)
    return copy


def run(copy: WorkingCopy, *options: str) -> subprocess.CompletedProcess[str]:
    return copy.snakemake("--cores", "1", *options, "--", str(METRICS))


def kill_pipeline_while_it_trains(copy: WorkingCopy) -> subprocess.CompletedProcess[str]:
    """Snakemake and its commands at once, as by a power cut.

    Returns:
        What another Snakemake said that was started meanwhile.
    """
    venv = Path(sys.executable).parent
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--", str(METRICS)],
        cwd=copy.folder,
        env=os.environ | {"PATH": f"{copy.folder / 'bin'}:{venv}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        lock = copy.folder / FOLDER / "training.lock"
        while not lock.exists():
            assert process.poll() is None
            time.sleep(0.05)
        # It is held still, so that it does not end before the other one has come.
        os.killpg(process.pid, signal.SIGSTOP)
        return run(copy)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def die_while_writing(copy: WorkingCopy, name: str) -> None:
    (copy.folder / DYING).write_text(name)
    done = run(copy)
    assert done.returncode == 1, done.stderr
    assert not (copy.folder / DYING).exists(), "it did not come to that"
    assert not list((copy.folder / FOLDER).rglob(name))


def numbers(copy: WorkingCopy) -> list[tuple[str, ...]]:
    """The rows of the collected metrics, without what tells of a single run."""
    with (copy.folder / METRICS).open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    keys = ("dataset", "variant", "trial", "inference", "metric", "key", "value")
    return [tuple(row.get(key, "") for key in keys) for row in rows]


def test_killed_again_and_again(tmp_path: Path, coco_builder: CocoBuilder) -> None:
    data = coco_builder()
    undisturbed = small_copy(tmp_path / "undisturbed", data)
    done = run(undisturbed)
    assert done.returncode == 0, done.stderr

    copy = small_copy(tmp_path / "disturbed", data)
    second = kill_pipeline_while_it_trains(copy)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stderr
    orphaned = run(copy)
    assert "Directory cannot be locked" in orphaned.stderr, "a killed Snakemake leaves its lock"
    assert copy.snakemake("--unlock").returncode == 0

    die_while_writing(copy, "predictions.json")
    die_while_writing(copy, "coco_ap.json")
    done = run(copy)
    assert done.returncode == 0, done.stderr
    assert numbers(copy) == numbers(undisturbed)
    models = [(c.folder / FOLDER / "model.safetensors").read_bytes() for c in (copy, undisturbed)]
    assert models[0] == models[1]
    assert not list(copy.folder.rglob("*.part"))
