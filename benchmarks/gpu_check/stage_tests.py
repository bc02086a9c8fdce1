"""The tests that are marked `needs_gpu`: how each of them ended."""

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu_check.stage import Asked

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/gpu"
# Tried on a CPU, one kind of model stands for all.
_QUICK = "future3d_pointrend_r50"
_MOST_S = 180
_ENDED = re.compile(r"^(\S+::\S+) (PASSED|FAILED|ERROR|SKIPPED)\b", re.MULTILINE)
# Not those of pyproject.toml: with them pytest refuses to run where its plugins are missing.
_OPTIONS = ("-o", "addopts=--strict-markers", "-p", "no:xdist", "-p", "no:cacheprovider", "-v")


def measure(asked: Asked) -> None:
    more = ["-k", _QUICK] if asked.is_quick else []
    command = [sys.executable, "-m", "pytest", TESTS, "-m", "needs_gpu", *_OPTIONS, *more]
    environment = os.environ | {"GPU_CHECK_DEVICE": asked.device}
    output = asked.folder / "pytest.txt"
    try:
        with output.open("wb") as file:
            subprocess.run(
                command, cwd=ROOT, env=environment, stdout=file, timeout=_MOST_S, check=False
            )
    except subprocess.TimeoutExpired as error:
        asked.fail(TESTS, error)
    text = output.read_text(encoding="utf-8", errors="replace")
    print(text)
    found = outcomes(text)
    ended = list(found.values())
    asked.tell(tests=found, counts={how: ended.count(how) for how in sorted(set(ended))})
    bad = {name: how for name, how in found.items() if how in ("failed", "error")}
    asked.failures += [f"{name}: {how}" for name, how in bad.items()]
    if "passed" not in ended:
        asked.failures.append(f"{TESTS}: no test passed")


def outcomes(text: str) -> dict[str, str]:
    """Return how each test ended, in lower case, from what `pytest -v` has written so far."""
    return {name: how.lower() for name, how in _ENDED.findall(text)}
