"""Exported detectors against the models that they come from, on images of several sizes."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torchvision  # noqa: F401  its operators are in the graphs
from PIL import ExifTags, Image
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d
from typer.testing import CliRunner

from pointrend_repro import cli, load_model
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.known_models import known_model
from pointrend_repro.checkpoints.saved_models import SavedModel, save_model
from pointrend_repro.data.examples import inference_image
from pointrend_repro.data.images import read_image
from pointrend_repro.modeling.boxes import suppress
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.heat_maps import keypoints_of_maps
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.tools.export.choosing import Asked, inference_of_graph
from pointrend_repro.tools.export.formats import Format, write_graph
from pointrend_repro.tools.export.graph import (
    EXACT_FROM_PX,
    DetectorGraph,
    padded_image,
    pyramid_of,
)
from pointrend_repro.tools.export.writing import describe
from small_experiment import OVERRIDES

SETTINGS = InferenceSettings()
INPUT = InputSettings(test_short_edge_px=128, max_long_edge_px=256)
CATEGORIES = [(1, "a"), (2, "b"), (3, "c")]
Graph = Callable[[Tensor, Tensor], list[Tensor]]


# Besides its trunk, what the 3D-FUTURE report's PointRend has, but on three levels of five and with
# two subdivisions, not five: a graph repeats each on every level, and takes minutes to write.
FEW_STEPS = InferenceSettings(output_resolution=28, points_per_step=49)
ON_LEVELS = {"levels": ["p2", "p4", "p6"], "coarse_layers": 3, "point_layers": 4}


def small_model(
    head: str,
    num_keypoints: int = 0,
    *,
    of_report: bool = False,
    norm: str = "gn",
    coarse_resolution: int = 7,
    **detector: object,
) -> MaskRCNN:
    """A narrow detector with random weights that find a few objects."""
    torch.manual_seed(0)
    small = OVERRIDES["model"]
    values = small | {"mask_head": {"kind": head, **OVERRIDES["mask_head"].get(head, {})}}
    values["detector"] = small["detector"] | {"detections_per_image": 20, "score_threshold": 0.6}
    values["backbone"] = small["backbone"] | {"norm": norm}
    if head == "pointrend":
        values["mask_head"] |= {"coarse_resolution": coarse_resolution}
    if of_report:
        values["mask_head"] |= ON_LEVELS
        values["backbone"] |= {"balancing_blocks": 2}
        values["detector"] |= {"class_agnostic_boxes": True, "box_head_layers": 3}
    values["detector"] |= detector
    if num_keypoints:
        values["keypoint_head"] = {"num_keypoints": num_keypoints, "convs": 1, "channels": 8}
    model = build_mask_rcnn(ModelSettings.model_validate(values), len(CATEGORIES)).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "predict" in name or "cls_score" in name:
            nn.init.normal_(parameter, std=0.3)
    return model


def images(shared_data: Path | None = None) -> list[Tensor]:
    if shared_data is not None:
        files = sorted((shared_data / "coco_tiny").rglob("*.jpg"))[:4]
        return [inference_image(read_image(path), INPUT) for path in files]
    generator = torch.Generator().manual_seed(2)
    noise = [255 * torch.rand(3, *size, generator=generator) for size in ((96, 96), (150, 201))]
    return [*noise, torch.zeros(3, 97, 130)]


def load_graph(form: Format, path: Path) -> Graph:
    if form == "onnx":
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        assert [i.name for i in session.get_inputs()] == ["image", "size"]

        def run(image: Tensor, size: Tensor) -> list[Tensor]:
            inputs = {"image": image.numpy(), "size": size.numpy()}
            return [torch.from_numpy(np.asarray(x)) for x in session.run(None, inputs)]

        return run
    if form == "pt2":
        return torch.export.load(path).module()
    return torch.jit.load(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("pointrend", "onnx"),
        ("pointrend", "pt2"),
        ("pointrend", "torchscript"),
        ("report", "onnx"),
        ("report", "torchscript"),
        ("4conv", "pt2"),
        ("4conv", "torchscript"),
    ],
)
def test_graph_finds_what_the_model_finds(
    head: str, form: Format, tmp_path: Path, shared_data: Path
) -> None:
    of_report = head == "report"
    model = small_model("pointrend" if of_report else head, of_report=of_report)
    settings = FEW_STEPS if of_report else SETTINGS
    path = tmp_path / f"model.{form}"
    write_graph(DetectorGraph(model, settings), form, path)
    graph = load_graph(form, path)
    counts = set()
    for image in [*images(), *images(shared_data)]:
        with torch.no_grad():
            (wanted,) = model.detect([image], settings)
            boxes, scores, labels, mask_logits = graph(*padded_image(image))
        counts.add(len(wanted.boxes))
        torch.testing.assert_close(labels, wanted.labels)
        torch.testing.assert_close(scores, wanted.scores, atol=1e-4, rtol=0)
        torch.testing.assert_close(boxes, wanted.boxes, atol=1e-3, rtol=1e-5)
        off = (mask_logits.sigmoid() - wanted.mask_logits.sigmoid()).abs() > 1e-4
        # Rounding may choose another of two points that are equally uncertain.
        assert off.float().mean() < (1e-3 if form == "onnx" else 1e-6) if len(off) else True
    assert len(counts) > 1  # or the number of objects might be part of the graph
    if (head, form) == ("pointrend", "onnx"):
        run_the_example_of_the_docs(model, path, tmp_path)


def run_the_example_of_the_docs(model: MaskRCNN, graph: Path, folder: Path) -> None:
    """Run the code of docs/export.md on pictures; it finds what the model finds."""
    described = describe(
        SavedModel(model, INPUT, CATEGORIES), "onnx", DetectorGraph(model, SETTINGS)
    )
    (folder / "pointrend.onnx.json").write_text(json.dumps(described))
    graph.rename(folder / "pointrend.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    picture, turned = Image.fromarray(pixels).resize((301, 200)), Image.Exif()
    turned[ExifTags.Base.Orientation] = 6  # as a phone that is held upright writes it
    for exif in (None, turned):
        picture.save(folder / "photo.png", exif=exif)
        seen = example_of_the_docs(folder)
        photo = read_image(folder / "photo.png")
        image = inference_image(photo, INPUT)
        with torch.no_grad():
            (wanted,) = model.detect([image], SETTINGS)
        (high, wide), (height, width) = image.shape[1:], photo.shape[:2]
        scale = torch.tensor([width / wide, height / high] * 2)
        assert seen["boxes"] == pytest.approx((wanted.boxes * scale).numpy(), abs=0.01)
        assert seen["masks"].shape == (len(wanted.boxes), height, width)
        assert seen["masks"].any()
    # Resized, it is thinner than half a pixel; such a graph's numbers are not the model's.
    picture.resize((900, 1)).save(folder / "photo.png")
    assert example_of_the_docs(folder)["masks"].shape[1:] == (1, 900)


def example_of_the_docs(folder: Path) -> dict[str, Any]:
    """Return the variables of the code of docs/export.md after it has run in a folder."""
    docs = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", docs, re.S)
    seen: dict[str, Any] = {}
    here = Path.cwd()
    os.chdir(folder)
    try:
        exec(code.replace("photo.jpg", "photo.png"), seen)  # without JPEG's losses
    finally:
        os.chdir(here)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_a_graph_s_keypoint_logits_hold_the_model_s_keypoints(form: Format, tmp_path: Path) -> None:
    model = small_model("4conv", num_keypoints=3)
    write_graph(DetectorGraph(model, SETTINGS), form, tmp_path / "graph")
    graph = load_graph(form, tmp_path / "graph")
    found = 0
    for image in images():
        with torch.no_grad():
            (wanted,) = model.detect([image], SETTINGS)
            boxes, *_, logits = graph(*padded_image(image))
        points = keypoints_of_maps(logits, boxes)
        torch.testing.assert_close(points[..., 2], wanted.keypoints[..., 2], rtol=1e-3, atol=1e-5)
        near = (points - wanted.keypoints).abs()[..., :2].amax(dim=2) < 0.01
        assert near.float().mean() > 0.97 if len(near) else True  # else equal up to rounding
        found += len(boxes)
    assert found > 0


SAMPLES = {"aggregation": "max", "sampling_ratio": 2}


@pytest.mark.parametrize(
    ("head", "layer"),
    [
        ("none", {"kind": "roi_align", "aggregation": "average", "sampling_ratio": 2}),
        ("4conv", {"kind": "roi_pool", "aggregation": "max"}),
        ("4conv", {"kind": "roi_warp"} | SAMPLES),
        ("4conv", {"kind": "roi_align"} | SAMPLES),
    ],
)
def test_every_roi_layer_and_no_masks_can_be_exported(
    head: str, layer: dict[str, object], tmp_path: Path
) -> None:
    model = small_model(head, roi_layer=layer, score_threshold=0.05)
    path = tmp_path / "model.torchscript"
    detector = DetectorGraph(model, SETTINGS)
    write_graph(detector, "torchscript", path)
    graph = load_graph("torchscript", path)
    counts = set()
    for image in images():
        with torch.no_grad():
            (wanted,) = model.detect([image], SETTINGS)
            found = dict(zip(detector.outputs, graph(*padded_image(image)), strict=True))
        assert ("mask_logits" in found) == (head != "none")
        for name, value in found.items():
            torch.testing.assert_close(value, getattr(wanted, name), atol=1e-3, rtol=1e-4)
        counts.add(len(wanted.boxes))
    assert max(counts) > 0
    if layer["kind"] == "roi_pool":
        with pytest.raises(UserError, match=r"onnx: .* RoIPool; export as pt2 or torchscript"):
            write_graph(detector, "onnx", tmp_path / "model.onnx")


def test_groups_that_are_laid_out_in_a_square_are_suppressed_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(0)
    corner = 1300 * torch.rand(400, 2, generator=generator)
    boxes = torch.cat([corner, corner + 200 * torch.rand(400, 2, generator=generator)], dim=1)
    scores = torch.rand(400, generator=generator)
    for groups in (1, 80, 1230):
        label = torch.randint(groups, (400,), generator=generator)
        wanted = suppress(boxes, scores, label, 0.5)
        with monkeypatch.context() as patch:
            patch.setattr("pointrend_repro.modeling.boxes.is_being_exported", lambda: True)
            got = suppress(boxes, scores, label, 0.5)
            none = suppress(boxes[:0], scores[:0], label[:0], 0.5)
        assert torch.equal(got, wanted)
        assert none.shape == (0,)


def test_the_command_writes_the_graph_and_its_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, graph = tmp_path / "model.safetensors", tmp_path / "model.pt"
    save_model(trained, SavedModel(small_model("4conv"), INPUT, CATEGORIES))
    command = ["x", "export", str(trained), "--format", "torchscript", "--output", str(graph)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    described = json.loads((tmp_path / "model.pt.json").read_text())
    assert described["classes"] == ["a", "b", "c"]
    assert described["image_size"] == {
        "short_edge_px": 128,
        "max_long_edge_px": 256,
        "multiple_of_px": 32,
        "min_side_px": 96,
        "exact_from_px": 65,
        "max_side_px": 4096,
    }
    assert described["mask_side"] == 28
    assert described["categories"] == [{"id": k, "name": name} for k, name in CATEGORIES]
    assert set(described["outputs"]) == {"boxes", "scores", "labels", "mask_logits"}
    assert described["command"].endswith("--output " + str(graph))
    torch.jit.load(graph)


def export(*words: object) -> str:
    """Export as TorchScript; return what is printed, or the one line of an error."""
    done = CliRunner().invoke(cli.app, ["export", *map(str, words), "--format", "torchscript"])
    if done.exit_code:
        assert isinstance(done.exception, UserError), done.output
        assert len(str(done.exception).splitlines()) == 1
        return f"error: {done.exception}"
    return done.output


@pytest.mark.parametrize("coarse", [6, 14])
def test_a_graph_s_masks_are_those_of_load_model(tmp_path: Path, coarse: int) -> None:
    model, graph = small_model("pointrend", coarse_resolution=coarse), tmp_path / "model.ts"
    trained = tmp_path / "model.safetensors"
    save_model(trained, SavedModel(model, INPUT, CATEGORIES))
    saved = load_model(trained)
    assert saved.inference == inference_of_graph(saved.saved, Asked())
    assert "double from step to step; give one of" in export(
        trained, "--output", graph, "--output-resolution", 5 * coarse
    )
    asked = ("--output-resolution", 2 * coarse, "--points-per-step", 9)
    export(trained, "--output", graph, *asked)
    described = json.loads((tmp_path / "model.ts.json").read_text())
    assert described["mask_side"] == 2 * coarse
    assert described["settings"]["points_per_step"] == 9


def test_a_known_model_is_exported_as_load_model_tests_it() -> None:
    for name in ("mask_rcnn_r50_c4_coco", "pointrend_r50_fpn_coco", "solov2_light_r50_fpn_coco"):
        known = known_model(name)
        saved = SavedModel(
            small_model("pointrend"), known.input, known.categories, inference=known.inference
        )
        assert inference_of_graph(saved, Asked()) == known.inference


@pytest.mark.parametrize("key", ["short_edge_px", "max_long_edge_px"])
def test_sides_that_no_graph_takes_are_refused(tmp_path: Path, key: str) -> None:
    trained = tmp_path / "model.safetensors"
    save_model(trained, SavedModel(small_model("4conv"), INPUT, CATEGORIES))
    words = (trained, "--output", tmp_path / "m.ts", "--test")
    told = export(*words, f"{key}=4097")
    assert f"--test: {key} is 4097, but a graph takes sides of at most 4096 pixels" in told
    assert not (tmp_path / "m.ts").exists()
    export(*words, f"{key}=4096")


def test_another_s_json_is_not_replaced(tmp_path: Path) -> None:
    trained, other = tmp_path / "model.safetensors", tmp_path / "net.json"
    save_model(trained, SavedModel(small_model("4conv"), INPUT, CATEGORIES))
    other.write_text('{"mine": 1}')
    told = export(trained, "--output", tmp_path / "net")
    assert "net.json: exists, and is no file of a graph's description" in told
    assert other.read_text() == '{"mine": 1}'
    assert not (tmp_path / "net").exists()
    other.unlink()
    for _ in range(2):  # its own is replaced
        export(trained, "--output", tmp_path / "net")
    assert json.loads(other.read_text())["format"] == "torchscript"


@pytest.mark.parametrize(("side", "is_exact"), [(64, False), (65, True)])
@pytest.mark.parametrize("norm", ["gn", "bn"])
def test_from_which_side_numbers_are_the_model_s(norm: str, side: int, is_exact: bool) -> None:
    model = small_model("none", norm=norm)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
            nn.init.normal_(module.bias, std=0.3)
    generator = torch.Generator().manual_seed(0)
    image = 255 * torch.rand(3, side, 130, generator=generator)
    assert is_exact == (side >= EXACT_FROM_PX)
    with torch.no_grad():
        wanted = model.backbone([image])["p2"]
        got = pyramid_of(model.backbone, *padded_image(image))["p2"]
    rows = wanted.shape[2]
    off = (got[:, :, :rows] - wanted).abs().max() / wanted.abs().max()
    assert off < 1e-4 if is_exact else off > 1e-2


def test_what_cannot_be_exported_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model("4conv")

    def broken(*_: object) -> None:
        raise RuntimeError("no such operator\nand much more")

    monkeypatch.setattr(type(model.mask_head), "predict", broken)
    path = tmp_path / "model.pt"
    with pytest.raises(
        UserError, match="RoI layer 'roi_align' cannot be exported as torchscript"
    ) as e:
        write_graph(DetectorGraph(model, SETTINGS), "torchscript", path)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("test", [{"nms": "soft_linear"}, {"flip": True}])
def test_a_graph_sees_an_image_once(test: dict[str, object]) -> None:
    asked = SETTINGS.model_copy(update={"test": DetectionAtTest.model_validate(test)})
    with pytest.raises(UserError, match=r"nms soft_linear, flip .* cannot be exported"):
        DetectorGraph(small_model("4conv"), asked)


@pytest.mark.parametrize(
    ("model", "told"),
    [("pointrend_r50_fpn_coco", "give its --weights"), ("nothing.safetensors", "no such file")],
)
def test_a_model_that_is_not_there_is_one_line(
    model: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["x", "export", model, "--format", "onnx", "--output", str(tmp_path / "m.onnx")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert told in capsys.readouterr().err
