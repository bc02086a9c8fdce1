"""`snakemake --config set=... weights=...`: what a run changes, its commands change, too."""

import json
from pathlib import Path

from pointrend_repro.base.asked import VARIABLE
from small_experiment import PRESET, write_small_config
from working_copy import make_stubbed_copy

STUB = f'#!/bin/sh\necho "${VARIABLE}" >>seen\n'


def test_a_run_s_changes_decide_its_jobs_and_reach_its_commands(tmp_path: Path) -> None:
    copy = make_stubbed_copy(tmp_path / "copy", write_small_config, STUB)
    weights = copy.folder / "model.pkl"
    weights.touch()
    own = ["--cores", "1", "--config", f"preset={PRESET}"]
    two = [*own, "set=trials.coco=2 optimizer.momentum=0.5", f"weights={weights}"]
    assert copy.plan(*two)["train"] == 2 * copy.plan(*own)["train"]
    # The stub makes nothing, so the run ends at its first job.
    assert copy.snakemake(*two).returncode != 0
    (seen,) = set((copy.folder / "seen").read_text().splitlines())
    assert json.loads(seen) == [f"weights={weights}", "trials.coco=2", "optimizer.momentum=0.5"]
    done = copy.snakemake("--dry-run", *own, "set=optimizer.momentumm=0.5")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "unknown key optimizer.momentumm; did you mean 'momentum'?" in line
