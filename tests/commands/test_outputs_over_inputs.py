"""No command writes over what it reads, or over a file that only lies where it would write."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointrend_repro.base.errors import UserError
from pointrend_repro.cli import app

Builder = Callable[..., Path]
OF_SMOKE = (
    *("--preset", "smoke", "--dataset", "generated_coco", "--variant", "pointrend_r50_fpn"),
    *("--device", "cpu"),
)
EVALUATE = ("evaluate", "coco_ap", "--predictions", "p.json", "--ground-truth", "gt.json")

COMMANDS = [
    ("a.jpg", ("demo", "a.jpg", "--weights", "m.safetensors", "--output")),
    ("m.safetensors", ("export", "m.safetensors", "--format", "onnx", "--output")),
    ("w.onnx", ("export", "a_model", "--weights", "w.onnx", "--format", "onnx", "--output")),
    ("m.safetensors", ("convert", "m.safetensors", "--model", "pointrend_r50_fpn_coco")),
    ("p.json", (*EVALUATE, "--output")),
    ("gt.json", (*EVALUATE, "--output")),
    ("m.safetensors", ("train", *OF_SMOKE, "--trial", "0", "--start-from", "m.safetensors",
                       "--output")),
    ("m.safetensors", ("predict", *OF_SMOKE, "--inference", "res224", "--model", "m.safetensors",
                       "--output")),
]  # fmt: skip


def refusal(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(done.exception, UserError), done.output
    assert len(str(done.exception).splitlines()) == 1
    return str(done.exception)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(("target", "words"), COMMANDS)
def test_an_output_is_no_input(
    target: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "m.safetensors", "w.onnx", "p.json", "gt.json"):
        Path(name).write_text("precious")
    before = content(tmp_path)
    given = (target, tmp_path / target, Path("..") / tmp_path.name / target)
    for output in given:
        assert refusal(*words, output) == (
            f"{output}: is one of the files to read; choose another output"
        )
    assert content(tmp_path) == before


@pytest.mark.parametrize("option", ["--output", "--pictures"])
def test_a_check_replaces_only_its_own_files(
    option: str, coco_builder: Builder, tmp_path: Path
) -> None:
    root = coco_builder()
    annotations = root / "annotations" / "instances_val2017.json"
    picture = next((root / "val2017").iterdir())
    before = content(root)
    for target in (annotations, picture):
        told = refusal("data", "check", root, option, target)
        assert told.startswith(f"{target}: exists, and is no ")
    told = refusal("data", "check", root, option, tmp_path)
    assert told == f"{tmp_path}: cannot be written: it is a folder; choose another place"
    if option == "--output":
        named = ("data", "check", "--dataset", "generated_coco", "--data-root", root)
        assert refusal(*named, option, annotations).startswith(f"{annotations}: exists, and is no")
    assert content(root) == before

    own = tmp_path / "own"
    for _ in range(2):  # the second time it is there
        CliRunner().invoke(app, ["data", "check", str(root), option, str(own)])
        assert own.exists()
    if option == "--output":
        assert json.loads(own.read_text())["findings"] is not None


@pytest.mark.parametrize(
    ("form", "name", "told"),
    [
        ("torchscript", "x.onnx", "x.onnx: .onnx is the ending of onnx, not of torchscript; write"),
        ("onnx", "x.pt2", "x.pt2: .pt2 is the ending of pt2, not of onnx; write .onnx"),
        ("pt2", "x.PT", "x.PT: .pt is the ending of torchscript, not of pt2; write .pt2"),
        ("pt2", "x.safetensors", ".safetensors is the ending of weights, not of pt2; write .pt2"),
    ],
)
def test_a_graph_is_not_named_like_another_format(form: str, name: str, told: str) -> None:
    assert told in refusal("export", "m.safetensors", "--format", form, "--output", name)
