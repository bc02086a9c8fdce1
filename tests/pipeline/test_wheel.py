"""The wheel and the sdist: what is in them, and the wheel's commands without a clone around it."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pointrend_repro.checkpoints.saved_models import SavedModel, save_model
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import OVERRIDES

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# setuptools changes sys.argv.
BUILD = "import sys, setuptools.build_meta as build; out = sys.argv[1]; "
BUILD += "build.build_wheel(out); build.build_sdist(out)"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of the files that git would hand to a clone."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(REPOSITORY / "src", source / "src", ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "MANIFEST.in"):
        shutil.copy(REPOSITORY / name, source)
    (source / "tests").mkdir()
    (source / "tests/test_stray.py").write_text("")
    made = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", folder, *built.glob("*.whl")], check=True)
    return folder


def run(installed: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the wheel's command in an empty folder, where no clone is."""
    empty = installed.parent / "empty"
    empty.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, installed / "bin/pointrend-repro", *words],
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def package_files() -> set[str]:
    source = REPOSITORY / "src"
    return {
        path.relative_to(source).as_posix()
        for path in (source / "pointrend_repro").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"pointrend_repro-{PROJECT['version']}.dist-info/"
    assert {name for name in names if not name.startswith(about)} == package_files()
    assert "pointrend_repro/py.typed" in names


def test_wheel_says_who_what_and_where(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    text = zipfile.ZipFile(wheel).read(f"pointrend_repro-{PROJECT['version']}.dist-info/METADATA")
    said = Parser().parsestr(text.decode())
    assert said["Version"] == PROJECT["version"]
    urls = dict(line.split(", ", 1) for line in said.get_all("Project-URL"))
    assert urls == PROJECT["urls"]
    assert "Typing :: Typed" in said.get_all("Classifier")
    extra = [
        Requirement(line) for line in said.get_all("Requires-Dist") if 'extra == "export"' in line
    ]
    assert {f"{each.name}{each.specifier}" for each in extra} == {
        f"{need.name}{need.specifier}"
        for need in map(Requirement, PROJECT["optional-dependencies"]["export"])
    }


def test_sdist_holds_what_a_wheel_is_built_of(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {name for name in names if not name.startswith("src/pointrend_repro.egg-info")}
    assert {f"src/{name}" for name in package_files()} <= files
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= files
    assert not [name for name in names if name.startswith("tests")]


def test_version_is_the_same_wherever_it_stands() -> None:
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    citation = (REPOSITORY / "CITATION.cff").read_text()
    assert re.search(r"^## (\S+)", changes, re.M).group(1) == PROJECT["version"]
    assert f"\nversion: {PROJECT['version']}\n" in citation


@pytest.mark.parametrize("words", [["--version"], ["segment", "--help"]])
def test_wheel_runs_outside_a_clone(installed: Path, words: list[str]) -> None:
    done = run(installed, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert PROJECT["version"] in done.stdout or "Usage" in done.stdout


def test_wheel_exports_a_trained_model(installed: Path, tmp_path: Path) -> None:
    small = OVERRIDES["model"] | {"mask_head": {"kind": "4conv", **OVERRIDES["mask_head"]["4conv"]}}
    model = build_mask_rcnn(ModelSettings.model_validate(small), 1).eval()
    sizes = InputSettings(test_short_edge_px=96, max_long_edge_px=128)
    weights, graph = tmp_path / "model.safetensors", tmp_path / "graph.pt"
    save_model(weights, SavedModel(model, sizes, [(1, "a")]))
    done = run(installed, "export", weights, "--format", "torchscript", "--output", graph)
    assert done.returncode == 0, done.stderr
    assert graph.stat().st_size > 0


@pytest.mark.parametrize(
    "words",
    [["plan", "--preset", "paper"], ["data", "fetch", "coco"], ["claims", "--preset", "paper"]],
)
def test_what_needs_a_clone_says_so_in_one_line(installed: Path, words: list[str]) -> None:
    done = run(installed, *words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "git clone" in line
    assert "make setup" in line
