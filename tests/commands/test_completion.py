"""What a shell offers after the first letters, asked as bash asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pointrend-repro seg", ["segment"]),
        ("pointrend-repro train --pres", ["--preset"]),
        ("pointrend-repro train --preset smo", ["smoke"]),
        (
            "pointrend-repro predict --dataset generated_c",
            sorted(path.stem for path in (CONFIG / "datasets").glob("generated_c*.yaml")),
        ),
        ("pointrend-repro demo --device cu", ["cuda"]),
    ],
)
def test_a_word_is_completed(line: str, offered: list[str]) -> None:
    command = shutil.which("pointrend-repro", path=str(Path(sys.executable).parent))
    assert command
    asked = {
        "_POINTREND_REPRO_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    done = subprocess.run([command], env=os.environ | asked, capture_output=True, text=True)
    assert done.stdout.split() == offered
