"""What conda, and Snakemake with conda, would install; neither conda nor its index is at hand."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]
# conda's names that are not pip's: conda-forge's list of its packages and of what lies in each
# (github.com/prefix-dev/parselmouth, August 2026; it has all others of environment.yml by name,
# snakemake and its plugin in bioconda, no cityscapesscripts).
CONDA_NAMES = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "opencv-contrib-python-headless": "py-opencv",
}
NOT_OURS = {"python", "pip", "coloredlogs", "pyquaternion", "tqdm"}


def environment() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    return content


def conda_part() -> list[str]:
    return [entry for entry in environment()["dependencies"] if isinstance(entry, str)]


def pip_part() -> list[str]:
    (part,) = (entry for entry in environment()["dependencies"] if isinstance(entry, dict))
    return list(part["pip"])


def test_environment_names_what_the_package_needs() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = {}
    for line in project["dependencies"] + project["optional-dependencies"]["benchmarks"]:
        needed = Requirement(line)
        wanted[CONDA_NAMES.get(needed.name, needed.name)] = str(needed.specifier)
    # conda writes = where pip writes ==.
    named = dict(re.fullmatch(r"([\w-]+)(.*)", entry).groups() for entry in conda_part())
    found = {name: re.sub(r"^=(?!=)", "==", said) for name, said in named.items()}
    by_pip = [Requirement(line) for line in pip_part() if re.match(r"\w", line)]
    found |= {needed.name: str(needed.specifier) for needed in by_pip}
    assert {name: found[name] for name in set(found) - NOT_OURS} == wanted
    assert found["python"] == "==3.11"


@pytest.mark.parametrize("name", ["detectron2", "pointrend_repro"])
def test_no_limit_is_undone_by_what_fills_the_environment(name: str) -> None:
    """`*.post-deploy.sh` installs requirements.lock over what conda has chosen."""
    locked = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / "requirements.lock").read_text(), re.M)
    )
    content = yaml.safe_load((REPOSITORY / f"workflow/envs/{name}.yaml").read_text())
    limited = [Requirement(each) for each in content["dependencies"] if re.search("[<>]", each)]
    undone = [str(r) for r in limited if r.name in locked and locked[r.name] not in r.specifier]
    assert undone == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What pip reads of a clone; building the package's metadata writes into it."""
    folder = tmp_path / "checkout"
    (folder / "src/pointrend_repro").mkdir(parents=True)
    (folder / "src/pointrend_repro/__init__.py").touch()
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / part, folder / part)
    shutil.copytree(REPOSITORY / "workflow/envs", folder / "workflow/envs")
    return folder


def pip_would_install(checkout: Path, lines: list[str]) -> set[str]:
    """Resolve a `pip:` part as conda has pip do it, without an index.

    conda (env/installers/pip.py) writes the lines to a file beside environment.yml and runs pip
    there. What the test's own Python has installed stands for what conda has, with the two names
    that conda-forge's py-opencv goes by (recipe/meta.yaml of its feedstock). All that there is of
    the index is the backport of typing and a second OpenCV, which pip must not take.
    """
    file = checkout / "condaenv.requirements.txt"
    file.write_text("\n".join(lines))
    wheels, conda = checkout / "wheels", checkout / "conda"
    write_wheel(wheels, "typing", "3.7.4.3")
    write_wheel(wheels, "opencv_contrib_python_headless", "99")
    for name in ("opencv_python", "opencv_python_headless"):
        write_wheel(conda, name, version("opencv-contrib-python-headless"))
    for wheel in conda.glob("*.whl"):
        shutil.unpack_archive(wheel, conda, "zip")
    asked = ["install", "-U", "-r", str(file), "--exists-action=b"]
    offline = ["--no-index", "--find-links", str(wheels), "--no-build-isolation"]
    told = ["--dry-run", "--quiet", "--report", str(checkout / "report.json")]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *asked, *offline, *told],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(conda)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((checkout / "report.json").read_text())
    return {
        f"{found['metadata']['name']} {found['metadata']['version']}" for found in report["install"]
    }


def write_wheel(folder: Path, name: str, number: str) -> None:
    folder.mkdir(exist_ok=True)
    info = f"{name}-{number}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as wheel:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_pip_accepts_what_conda_hands_it(checkout: Path) -> None:
    empty = {"opencv-contrib-python-headless 4.10", "typing 0"}
    assert pip_would_install(checkout, pip_part()) == {"pointrend-repro 0.1.0", *empty}


def test_without_the_empty_package_pip_would_take_the_backport(checkout: Path) -> None:
    lines = [ln for ln in pip_part() if "./workflow" not in ln and "editable" not in ln]
    assert pip_would_install(checkout, lines) == {"typing 3.7.4.3"}


# Stands for conda: makes an environment whose `python` writes down what it is asked for.
CONDA = """#!/bin/bash
case "$*" in
    "info --json") echo '{{"conda_prefix": "{folder}", "platform": "linux-64"}}' ;;
    "--version") echo "conda 26.3.0" ;;
    "clean"*) ;;
    "config --get"*) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    "env create"*)
        file=$(sed 's/.*--file \\([^ ]*\\).*/\\1/' <<< "$*")
        prefix=$(sed 's/.*--prefix \\([^ ]*\\).*/\\1/' <<< "$*")
        mkdir -p "$prefix/bin" "$prefix/conda-meta"
        echo "conda $file" >> {folder}/log
        printf '#!/bin/bash\\necho "$PWD: $*" >> {folder}/log\\n' > "$prefix/bin/python"
        chmod +x "$prefix/bin/python" ;;
    *) echo "conda $*: not expected" >&2; exit 1 ;;
esac
"""


def test_snakemake_makes_its_environment_from_a_copy(tmp_path: Path) -> None:
    """The file is copied elsewhere; the lock and the package are found from the repository."""
    bin_folder = tmp_path / "conda" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "conda").write_text(CONDA.format(folder=tmp_path / "conda"))
    (bin_folder / "conda").chmod(0o755)
    (bin_folder / "activate").write_text('export PATH="$1/bin:$PATH"\n')
    workflow = tmp_path / "clone"
    shutil.copytree(REPOSITORY / "workflow/envs", workflow / "workflow/envs")
    (workflow / "Snakefile").write_text(
        'rule all:\n    output: "made"\n'
        '    conda: "workflow/envs/pointrend_repro.yaml"\n    shell: "touch {output}"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--sdm", "conda", "--conda-create-envs-only", "-c1"],
        cwd=workflow,
        env=os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    created, lock, package = (tmp_path / "conda" / "log").read_text().splitlines()
    copied = Path(created.removeprefix("conda "))
    assert copied.parent != workflow / "workflow/envs"
    assert lock == f"{workflow}: -m pip install --no-deps --require-hashes -r requirements.lock"
    assert package == f"{workflow}: -m pip install --no-deps --no-build-isolation --editable ."
    dependencies = yaml.safe_load((workflow / copied).read_text())["dependencies"]
    assert all(isinstance(entry, str) for entry in dependencies)  # no `pip:`, thus no paths


def test_every_rule_has_an_environment_that_is_there() -> None:
    named = {
        path.parent / name
        for path in (REPOSITORY / "workflow/rules").glob("*.smk")
        for name in re.findall(r"conda:\s+\"([^\"]+)\"", path.read_text())
    }
    assert {path.name for path in named} == {"pointrend_repro.yaml", "detectron2.yaml"}
    for path in named:
        assert path.is_file()
        script = path.with_suffix(".post-deploy.sh")
        assert script.read_text().startswith("#!/bin/bash\n")  # Snakemake runs others by sh


def test_make_names_the_venv_module_of_the_python_that_it_is_given(tmp_path: Path) -> None:
    """As Debian has them: without, and one for each version."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / ".ci", tmp_path / ".ci")
    scripts = {
        "id": "echo 1000",
        "python3.99": "case $2 in *ensurepip*) exit 1 ;; *version_info[[]*) echo 3.99 ;; esac",
    }
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["make", "setup", "PYTHON=python3.99"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "type: sudo apt-get install python3.99-venv" in done.stderr
