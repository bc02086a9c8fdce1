"""Snakemake over damaged results: what a step has moved aside is made anew by the next run.

A stub makes the results, and the real command is what looks at them.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_workflow import STUB
from test_workflow_faults import FOLDER, METRICS, run, small_copy

from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.origins import origin_path
from small_experiment import DATASET, PRESET, VARIANT
from working_copy import WorkingCopy

REAL = "the-real-one-for"  # names a command
CHOOSING = f"""#!/bin/sh
[ "$1" = "$(cat {REAL})" ] && exec "{sys.executable}" -m pointrend_repro "$@"
exec bin/stub "$@"
"""
MODEL = FOLDER / "model.safetensors"
PREDICTIONS = FOLDER / "res28/predictions.json"
SCORE = FOLDER / "res28/coco_ap.json"


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("once") / "copy"


@pytest.fixture
def copy(once: Path, tmp_path: Path, coco_builder: Callable[..., Path]) -> WorkingCopy:
    """All results of a small preset, with records that describe them."""
    if not once.exists():
        data = once.parent / "coco"
        coco_builder(root=data)
        made = small_copy(once, data)
        for name, text in (("stub", STUB), ("pointrend-repro", CHOOSING)):
            path = made.folder / "bin" / name
            path.write_text(text)
            path.chmod(0o755)
        (made.folder / REAL).write_text("none")
        done = run(made)
        assert done.returncode == 0, done.stderr
    shutil.copytree(once, tmp_path / "copy")
    copy = WorkingCopy(tmp_path / "copy")
    what = {"preset": PRESET, "dataset": DATASET, "variant": VARIANT, "trial": 0}
    for result, step in ((MODEL, "train"), (PREDICTIONS, "predict")):
        digest = content_digest(copy.folder / result)
        record = what | {step: {"output_digest": digest}}
        rewrite(origin_path(copy.folder / result), json.dumps(record).encode())
    return copy


def rewrite(path: Path, content: bytes) -> None:
    """Change a file as a bad disk does: nothing else tells of it."""
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("damaged", "found_by", "removed", "made_anew"),
    [
        (
            MODEL,
            "predict",
            [PREDICTIONS, SCORE, METRICS],
            ["train", "predict", "evaluate", "collect"],
        ),
        (PREDICTIONS, "evaluate-all", [SCORE, METRICS], ["predict", "evaluate", "collect"]),
        (SCORE, "collect", [METRICS], ["evaluate", "collect"]),
    ],
    ids=["model", "predictions", "score"],
)
def test_a_plain_rerun_makes_it_anew(
    copy: WorkingCopy, damaged: Path, found_by: str, removed: list[Path], made_anew: list[str]
) -> None:
    whole = (copy.folder / damaged).read_bytes()
    rewrite(copy.folder / damaged, whole[:-4])
    for path in removed:
        (copy.folder / path).unlink()
    (copy.folder / REAL).write_text(found_by)
    done = run(copy)
    assert done.returncode == 1
    assert "run again to remake it" in done.stdout + done.stderr  # the log is shown
    assert (copy.folder / f"{damaged}.damaged").read_bytes() == whole[:-4]

    (copy.folder / REAL).write_text("none")
    planned = copy.plan("--", str(METRICS))
    assert {rule.removesuffix("_coco_ap"): jobs for rule, jobs in planned.items()} == dict.fromkeys(
        made_anew, 1
    )
