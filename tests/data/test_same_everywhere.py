"""The generated scenes are the same on every processor, so that results can be compared.

NumPy has other functions for processors with AVX-512, which round differently.
"""

import hashlib
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from pointrend_repro.data.generated.making import generate_dataset
from pointrend_repro.data.generated.same_everywhere import angle, power
from pointrend_repro.declarations.metric import Layout
from pointrend_repro.settings.generated import GeneratedSettings

AVX_512 = [
    name
    for name in __cpu_dispatch__
    if (name == "X86_V4" or name.startswith("AVX512")) and __cpu_features__.get(name)
]
SIZE = {"train_images": 6, "val_images": 4, "width_px": 160, "height_px": 120}
SETS: dict[str, tuple[Layout, GeneratedSettings]] = {
    "things": ("coco", GeneratedSettings(**SIZE)),
    "people": ("coco", GeneratedSettings(**SIZE, subject="people")),
    "furniture": ("coco", GeneratedSettings(**SIZE, subject="furniture")),
    "streets": ("cityscapes", GeneratedSettings(**SIZE)),
}
# Of all annotations and label images, on Linux with an x86-64 processor that has AVX2.
RECORDED = {
    "things": "82b116c83324",
    "people": "f7a488be646f",
    "furniture": "da810513f323",
    "streets": "ae2b76aeb0f2",
}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def digest_of_truth(files: dict[str, bytes]) -> str:
    found = hashlib.sha256()
    for name in sorted(files):
        if "annotations" in name or "_gtFine_" in name:
            found.update(name.encode() + files[name])
    return found.hexdigest()[:12]


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="the C libraries of other systems may round differently",
)
@pytest.mark.parametrize("name", SETS)
def test_scenes_are_those_that_were_recorded(name: str, tmp_path: Path) -> None:
    generate_dataset(tmp_path / name, *SETS[name])
    assert digest_of_truth(files_of(tmp_path / name)) == RECORDED[name]


@pytest.mark.skipif(not AVX_512, reason="this processor has no AVX-512")
def test_scenes_are_the_same_without_avx_512(tmp_path: Path) -> None:
    for name, made in SETS.items():
        generate_dataset(tmp_path / "with" / name, *made)
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "from test_same_everywhere import AVX_512, SETS, generate_dataset; assert not AVX_512; "
        "[generate_dataset(Path(sys.argv[2]) / name, *made) for name, made in SETS.items()]"
    )
    here = str(Path(__file__).parent)
    subprocess.run(
        [sys.executable, "-c", program, here, str(tmp_path / "without")],
        env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(AVX_512)},
        check=True,
    )
    assert files_of(tmp_path / "with") == files_of(tmp_path / "without")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.1, 3))
def test_powers_are_those_of_the_c_library(base: list[float], exponent: float) -> None:
    assert power(np.array(base), exponent).tolist() == [math.pow(x, exponent) for x in base]


@given(
    arrays(np.float32, (5, 1), elements=st.floats(-1, 1, width=32)),
    arrays(np.float32, (1, 7), elements=st.floats(-1, 1, width=32)),
)
def test_angles_are_those_of_numpy(y: np.ndarray, x: np.ndarray) -> None:
    found = angle(y, x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.arctan2(y, x), rtol=3e-7)
