"""Pillow on files from outside: what it says beside the picture."""

import subprocess
import sys
from pathlib import Path

from PIL import Image


def test_many_pixels_are_read_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("1", (10_000, 9_000)).save(path)
    code = (
        "from pathlib import Path; from pointrend_repro.data.decoding import opened_picture\n"
        f"with opened_picture(Path({str(path)!r}), otherwise='', advice='') as image: image.load()"
    )
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
