"""Scoring starts at once: its tools do without torch, which takes seconds to import."""

import subprocess
import sys


def test_scoring_imports_no_torch() -> None:
    code = (
        "import importlib, sys, pointrend_repro.pipeline.steps.evaluation\n"
        "from pointrend_repro import evaluation\n"
        "for module, _ in evaluation._METRICS.values():\n"
        "    importlib.import_module(f'pointrend_repro.evaluation.{module}')\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
