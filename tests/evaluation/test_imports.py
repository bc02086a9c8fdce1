"""Scoring starts at once: its tools do without torch, and a metric without those of others."""

import subprocess
import sys

import pytest

from pointrend_repro.declarations.metric import METRICS


def test_scoring_imports_no_torch() -> None:
    run_alone(
        "import sys, pointrend_repro.pipeline.steps.evaluation\n"
        "from pointrend_repro.declarations.finding import load_function\n"
        "from pointrend_repro.declarations.metric import METRICS\n"
        "for metric in METRICS.all():\n"
        "    for path in (metric.score, metric.resample):\n"
        "        path and metric.reads and load_function(path)\n"
        "assert 'torch' not in sys.modules"
    )


@pytest.mark.parametrize("name", ["coco_ap", "trimap_miou"])
def test_who_scores_by_one_metric_imports_no_other(name: str) -> None:
    """A record lists the modules that a result ran through: no new metric's file is among them."""
    others = [other for other in METRICS.names() if other != name]
    run_alone(
        "import sys\n"
        "from pathlib import Path\n"
        "from pointrend_repro.base.errors import UserError\n"
        "from pointrend_repro.pipeline.steps.evaluation import run_evaluation\n"
        "try:\n"
        f"    run_evaluation('{name}', Path('gone'), Path('gone.json'), output=Path('o.json'))\n"
        "except UserError as error:\n"
        "    assert 'gone' in str(error), error\n"
        f"folder = 'pointrend_repro.declarations.metrics.'\n"
        f"assert folder + '{name}' in sys.modules\n"
        f"assert not {{folder + other for other in {others}}} & set(sys.modules)"
    )


def run_alone(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
