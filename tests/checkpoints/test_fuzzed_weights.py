"""Random and damaged files of weights, in a process with little memory (weights_fuzzer.py)."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = 300


def test_no_file_is_more_than_it_explains() -> None:
    fuzzer = Path(__file__).with_name("weights_fuzzer.py")
    done = subprocess.run(
        [sys.executable, str(fuzzer), str(EXAMPLES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {kind: int(n) for kind, n in re.findall(r"^(.*) (\d+)$", done.stdout, re.M)}
    for kind in ("pickle", "torch"):  # all three ends are met, or little has been tried
        assert counts[f"{kind} read"] > 5
        assert counts[f"{kind} refused"] > 30
        assert counts[f"{kind} not whole"] > 30
    assert counts["odd read"] > 5
    assert counts["odd not whole"] > 30  # refused in other words
