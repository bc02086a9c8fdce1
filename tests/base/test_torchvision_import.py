"""torchvision without torch's compiler: it works, and the compiler is there when it is wanted."""

import subprocess
import sys
from pathlib import Path

START = (
    "import sys; from pointrend_repro.base.torchvision_import import import_torchvision as start; "
)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_compiler_is_left_out_and_comes_when_asked() -> None:
    code = (
        "start(); start(); import torch, torchvision\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "assert 'torch._dynamo.utils' not in sys.modules\n"
        "boxes = [torch.tensor([[0.0, 0, 4, 4]])]\n"
        "print(torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), boxes, 2).sum().item())\n"
        "ask = sys.modules['torchvision.ops.roi_align'].is_compile_supported\n"
        "print(ask('cpu') == __import__('torch._dynamo.utils', fromlist='x')"
        ".is_compile_supported('cpu'))\n"
        "assert sys.modules['torch._dynamo.utils'].__file__"
    )
    assert run(START + code).split() == ["4.0", "True"]


def test_another_name_of_the_compiler_brings_the_compiler(tmp_path: Path) -> None:
    """As another version of torchvision might want it."""
    (tmp_path / "torchvision.py").write_text("from torch._dynamo.utils import counters\n")
    code = (
        f"sys.path.insert(0, {str(tmp_path)!r}); start()\n"
        "import torchvision, torch._dynamo.utils as utils\n"
        "print(torchvision.counters is utils.counters)"
    )
    assert run(START + code) == "True\n"
