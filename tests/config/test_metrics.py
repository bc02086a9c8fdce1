"""A file of the configuration names a metric and a number of it: what is taken, what is refused.

That the keys are those of the tools is tested where the tools run: test_one_pass.py,
test_cityscapes_ap.py and test_cost.py in tests/evaluation.
"""

import subprocess
import sys

import pytest

from pointrend_repro.config.metrics import require_key
from pointrend_repro.declarations.metric import METRICS


@pytest.mark.parametrize("metric", METRICS.names())
def test_each_key_is_taken_in_its_unit_alone(metric: str) -> None:
    for key, unit in METRICS.find(metric).keys.items():
        require_key(metric, key, unit)
        with pytest.raises(ValueError, match=r"not in 'px'$"):
            require_key(metric, key, "px")
    with pytest.raises(ValueError, match=f"^metric {metric} has no key 'AQ'; it has .*{key}$"):
        require_key(metric, "AQ", "%")


def test_reading_a_grid_imports_neither_torch_nor_a_tool() -> None:
    code = (
        "import sys\n"
        "from pointrend_repro.experiments.loading import load_grid\n"
        "from pointrend_repro.reporting.claims.schema import load_claims\n"
        "load_grid('paper'), load_claims()\n"
        "slow = {'torch', 'pycocotools', 'lvis', 'cityscapesscripts', 'faster_coco_eval'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
