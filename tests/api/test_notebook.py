"""The tutorial's notebook runs from a clone, and says what the tutorial's pages say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from working_copy import REPOSITORY

TUTORIAL = REPOSITORY / "docs/tutorial"
NOTEBOOK = TUTORIAL / "pointrend.ipynb"


def test_it_is_a_notebook_without_outputs() -> None:
    nbformat.validate(json.loads(NOTEBOOK.read_text()))
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs"), cell.id
        assert cell.get("execution_count") is None, cell.id


@pytest.mark.slow
def test_all_cells_run_and_the_pages_tell_what_they_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTORIAL_UPDATES", "3")  # enough to see that it runs
    monkeypatch.setenv("TUTORIAL_FOLDER", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = subprocess.run(
        [sys.executable, TUTORIAL / "run.py"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^ *(\d+) x \1 +(\d+) points", done.stdout, re.MULTILINE) == [
        *(("7", "0"), ("14", "196"), ("28", "784"), ("56", "784"), ("112", "784"), ("224", "784"))
    ]
    page = (TUTORIAL / "ap_star.md").read_text()
    for answer in ("COCO's own outlines", "the true outlines"):
        (printed,) = re.findall(rf"^{answer} +(.*)$", done.stdout, re.MULTILINE)
        assert f"| {answer} | {' | '.join(printed.split())} |" in page
    assert "\nholds, p = 0.016; survives Holm: False\n" in done.stdout
    for name in ("steps.jpg", "outlines.jpg"):
        with Image.open(tmp_path / name) as drawn:
            assert drawn.width >= 600
    assert "<svg" in (tmp_path / "claim.svg").read_text()
