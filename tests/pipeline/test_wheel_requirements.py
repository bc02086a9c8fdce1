"""What pip installs with the built wheel: one OpenCV, and no backport of `typing`."""

import subprocess
import sys
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path
from zipfile import ZipFile

import cv2
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_environments import checkout as checkout  # a fixture

OPENCV = "opencv-contrib-python-headless"


@pytest.fixture
def required(checkout: Path) -> list[Requirement]:
    """`Requires-Dist` of the wheel."""
    asked = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *asked, "--wheel-dir", "built", "."],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (checkout / "built").glob("*.whl")
    with ZipFile(wheel) as opened:
        (name,) = (n for n in opened.namelist() if n.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(opened.read(name).decode())
    return [Requirement(line) for line in told.get_all("Requires-Dist", [])]


def with_their_own(required: list[Requirement], extra: str) -> set[str]:
    """The names of requirements and of what they require in turn, by what is installed here."""
    found: set[str] = set()
    waiting = [(each, extra) for each in required]
    while waiting:
        each, chosen = waiting.pop()
        name = canonicalize_name(each.name)
        if name in found or (each.marker and not each.marker.evaluate({"extra": chosen})):
            continue
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        waiting += [(Requirement(line), part) for line in lines for part in each.extras or [""]]
    return found


def test_pip_installs_one_opencv_and_no_backport(required: list[Requirement]) -> None:
    whole = with_their_own(required, extra="")
    assert {name for name in whole if name.startswith("opencv")} == {OPENCV}
    assert not whole & {"typing", "lvis", "cityscapesscripts"}
    assert {"torch", "numpy", "jinja2", "markupsafe"} <= whole  # it went deep


def test_the_benchmarks_tools_bring_what_the_docs_say(required: list[Requirement]) -> None:
    more = with_their_own(required, extra="benchmarks") - with_their_own(required, extra="")
    assert {"lvis", "cityscapesscripts", "opencv-python", "typing"} <= more


def test_one_opencv_is_installed_here() -> None:
    here = Path(cv2.__file__).parents[1]
    found = [d.metadata["Name"] for d in distributions(path=[str(here)])]
    assert len([name for name in found if name.lower().startswith("opencv")]) == 1


WITHOUT = """
import sys
for name in ("cityscapesscripts", "lvis"):
    sys.modules[name] = None
import pointrend_repro
import pointrend_repro.cli
import pointrend_repro.data.check
import pointrend_repro.data.generated.making
import pointrend_repro.figures.streets
import pointrend_repro.predictions.instances
import pointrend_repro.predictions.label_maps
from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.finding import load_function
from pointrend_repro.evaluation._lvis_compat import working_lvis
assert "pointrend_r50_fpn_coco" in pointrend_repro.list_models()
for call in (
    lambda: load_function("pointrend_repro.evaluation.cityscapes_ap:score_cityscapes_ap"),
    lambda: working_lvis().__enter__(),
):
    try:
        call()
    except UserError as error:
        print(error)
"""


def test_all_but_the_benchmarks_work_without_their_tools() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    cityscapes, lvis = done.stdout.splitlines()
    assert cityscapes.endswith("; pip install --no-deps cityscapesscripts pyquaternion")
    assert lvis.endswith("; pip install --no-deps lvis==0.5.3")
