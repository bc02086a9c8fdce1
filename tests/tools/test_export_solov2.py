"""Exported SOLOv2s against the models that they come from, on images of several sizes."""

import sys
from pathlib import Path

import pytest
import torch
from test_export import CATEGORIES, INPUT, images, load_graph
from torch import nn

from pointrend_repro import cli
from pointrend_repro.base.files import read_json
from pointrend_repro.checkpoints.saved_models import SavedModel, save_model
from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.settings.solov2 import SoloAtTest, SoloInferenceSettings, SoloModelSettings
from pointrend_repro.tools.export.formats import Format
from pointrend_repro.tools.export.graph import padded_image

TEST = ("score_threshold=0.45", "detections_per_image=20")
SETTINGS = SoloInferenceSettings(test=SoloAtTest(score_threshold=0.45, detections_per_image=20))


def small_model() -> SOLOv2:
    """A narrow model with random weights that finds a few objects in some images."""
    torch.manual_seed(0)
    trunk = {"name": "resnet18_narrow", "norm": "gn", "freeze_at": 0, "fpn_channels": 8}
    head = {"grids": (8, 6, 4, 3, 2), "channels": 8, "tower_layers": 1, "map_channels": 8}
    settings = SoloModelSettings.model_validate(
        {"backbone": trunk, "head": head | {"kernel_channels": 8}}
    )
    model = SOLOv2(settings, len(CATEGORIES)).eval()
    # Sure masks: a pixel at the threshold may be on either side of it in a graph. Their logits are
    # in the hundreds, and so is their rounding.
    nn.init.normal_(model.head.kernel_predictor.weight, std=30)
    nn.init.normal_(model.head.class_predictor.weight, std=0.1)
    nn.init.normal_(model.head.class_predictor.bias, std=0.3)
    return model


def run_command(
    monkeypatch: pytest.MonkeyPatch, source: Path, target: Path, *arguments: str
) -> object:
    form, *rest = arguments
    words = ["export", str(source), "--output", str(target), "--format", form, *rest]
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torchscript", "pt2"])
def test_a_graph_finds_what_the_model_finds(
    form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, source, target = small_model(), tmp_path / "model.safetensors", tmp_path / f"g.{form}"
    save_model(source, SavedModel(model, INPUT, CATEGORIES))
    asked = [word for each in TEST for word in ("--test", each)]
    assert run_command(monkeypatch, source, target, form, *asked) == 0
    described = read_json(target.with_name(f"{target.name}.json"))
    assert list(described["outputs"]) == ["scores", "labels", "mask_probabilities"]
    graph, counts = load_graph(form, target), []
    for image in images():
        (wanted,) = model.detect([image], SETTINGS)
        scores, labels, masks = graph(*padded_image(image))
        counts.append(len(scores))
        torch.testing.assert_close(scores, wanted.scores, rtol=0, atol=1e-3)
        assert labels.equal(wanted.labels)
        height, width = wanted.probabilities.shape[1:]
        assert (height, width) == masks.shape[1:]
        torch.testing.assert_close(masks, wanted.probabilities, rtol=0, atol=0.01)
    assert max(counts) > 3


def test_a_key_that_it_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "model.safetensors"
    save_model(source, SavedModel(small_model(), INPUT, CATEGORIES))
    assert run_command(monkeypatch, source, tmp_path / "g", "pt2", "--test", "flip=true") == 2
    assert "--test: unknown key flip" in capsys.readouterr().err
