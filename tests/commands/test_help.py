"""What a person sees before anything runs: help, examples, what is missing, `doctor`."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from pointrend_repro import cli
from pointrend_repro.commands.examples import EXAMPLES
from pointrend_repro.pipeline.doctor import machine, presets

APP: Any = typer.main.get_command(cli.app)
REPOSITORY = Path(__file__).parents[2]

# Answers each query; of a key that it does not know, as older ones of compute_cap, it fails.
NVIDIA_SMI = """#!/bin/sh
case "$1" in
*name,memory.total) echo 'NVIDIA T4, 15360 MiB' ;;
*driver_version) echo "$DRIVER" ;;
*) [ -n "$CAPABILITY" ] && echo "$CAPABILITY" ;;
esac
"""


def commands(group: Any = APP, name: str = "") -> dict[str, Any]:
    found = {}
    for sub, command in group.commands.items():
        path = f"{name} {sub}".strip()
        found |= commands(command, path) if hasattr(command, "commands") else {path: command}
    return found


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", *shlex.split(line)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_every_command_stands_under_one_heading() -> None:
    named = [name for names in type(APP).headings.values() for name in names]
    assert sorted(named) == sorted(APP.commands)


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) == set(commands())


@pytest.mark.parametrize("example", [line for lines in EXAMPLES.values() for line in lines])
def test_examples_can_be_read_by_their_commands(example: str) -> None:
    program, *words = shlex.split(example)
    assert program == "pointrend-repro"
    size = 2 if words[0] == "data" else 1
    command = commands()[" ".join(words[:size])]
    # Raises for unknown options, missing ones and wrong values.
    command.make_context(words[0], words[size:], obj={})


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("name", ["", "data", "train", "data check"])
def test_help_is_asked_for_in_two_ways(
    name: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys, f"{name} {option}")
    assert code == 0
    assert out.startswith("Usage: ")
    assert ("Examples:" in out) == (name in EXAMPLES)


def test_examples_in_the_help_can_be_pasted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(monkeypatch, capsys, "train -h")
    shown = out.partition("Examples:")[2].replace("\\\n", "")
    assert [" ".join(line.split()) for line in shown.splitlines() if line] == [*EXAMPLES["train"]]
    assert max(map(len, out.splitlines())) <= 80


def test_all_missing_options_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(monkeypatch, capsys, "train --variant pointrend_r50_fpn")
    assert code == 2
    assert "Missing '--preset', '--dataset', '--trial', '--output'." in err
    code, _, err = run(monkeypatch, capsys, "segment --output found")
    assert (code, "Missing argument 'pictures'" in err) == (2, True)
    code, _, err = run(monkeypatch, capsys, "train --trial -1")  # what is wrong comes first
    assert (code, "Invalid value for '--trial'" in err) == (2, True)


def test_doctor_says_whether_a_preset_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(presets, "gpus", list)
    code, out, _ = run(monkeypatch, capsys, "doctor --preset smoke")
    assert (code, "smoke                  can run" in out) == (0, True)
    code, out, _ = run(monkeypatch, capsys, "doctor --preset paper")
    assert (code, "cannot run; it needs:" in out) == (1, True)
    assert "data set cityscapes" in out
    assert "- a GPU; " in out
    assert "fetches" not in out  # only said of what can run
    assert "data set coco" not in out
    # Removed after they were fetched; a run would not fetch them again.
    for name in ("coco", "imagenet_r50"):
        record = tmp_path / f"data/.fetched/{name}.json"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text('{"origin": "fetched"}')
    out = run(monkeypatch, capsys, "doctor --preset paper")[1]
    assert "no folder data/coco; `pointrend-repro data fetch coco` fetches it" in out
    assert "R-50.pkl: no such file; `pointrend-repro data fetch imagenet_r50` fetches it" in out
    code, out, _ = run(monkeypatch, capsys, f"doctor --preset tiny --data-root {tmp_path}")
    assert (code, "tiny                   can run" in out) == (0, True)
    (tmp_path / "data" / "lvis").mkdir(parents=True)
    code, out, _ = run(monkeypatch, capsys, "doctor --preset smok")
    assert (code, "did you mean 'smoke'?" in out) == (1, True)


def test_doctor_looks_at_the_papers_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(monkeypatch, capsys, "doctor --preset paper --papers 3dfuture")
    assert (code, "data set future3d, 3D-FUTURE" in out) == (1, True)
    assert "data set cityscapes" not in out
    code, out, _ = run(monkeypatch, capsys, "doctor --preset smoke --papers sharpmask,mask_rcnn")
    assert (code, "smoke                  can run" in out) == (0, True)
    code, out, _ = run(monkeypatch, capsys, "doctor --preset smoke --papers 3dfutur")
    assert (code, "did you mean '3dfuture'?" in out) == (1, True)
    code, out, _ = run(monkeypatch, capsys, "doctor --papers 3dfuture")
    named = re.findall(r"^  (\w+) +can", out.partition("Presets:")[2], flags=re.MULTILINE)
    assert (code, named) == (0, ["mini_3dfuture", "paper", "paper_3dfuture_more", "smoke"])


def test_doctor_itself_never_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(machine.shutil, "disk_usage", broken)
    code, out, _ = run(monkeypatch, capsys, f"doctor --config-dir {tmp_path}")
    assert code == 0
    assert "RuntimeError: the disk is on fire" in out
    assert "Presets:" in out


def test_doctor_knows_gpus_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text(NVIDIA_SMI)
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = "NVIDIA T4, 15360 MiB"
    lacks = f"{found}; to use them, this machine lacks a "
    for cuda, release, capability, line in [
        ("13.0", "580.65.06", "7.5", found),
        (
            "13.0",
            "580.65.06",
            "7.0",
            f"{lacks}torch with kernels for GPUs below compute capability",
        ),
        ("12.6", "535.104.05", "7.0", found),
        ("13.0", "535.104.05", "7.5", f"{lacks}driver of release 580 or later, for the installed"),
        ("13.0", "580.65.06", "", found),  # an older nvidia-smi does not know the key
        ("99.0", "1.0", "1.0", found),
        (None, "580.65.06", "7.5", f"{lacks}torch that is built for GPUs"),
    ]:
        monkeypatch.setenv("DRIVER", release)
        monkeypatch.setenv("CAPABILITY", capability)
        monkeypatch.setattr(machine, "_cuda_of_torch", lambda cuda=cuda: cuda)
        told = machine.gpu_line()
        assert told == line if line == found else told.startswith(line)
    driver.write_text("#!/bin/sh\necho 'cannot reach the driver'\nexit 9\n")
    assert machine.gpu_line().startswith("none")


def test_doctor_reads_what_torch_is_built_for() -> None:
    assert machine._cuda_of_torch() == torch.version.cuda


def test_doctor_does_not_import_torch() -> None:
    code = (
        "import sys; from pointrend_repro import cli; sys.argv = ['x', 'doctor', '--preset', "
        "'smoke']\ntry: cli.main()\nexcept SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, capture_output=True)
