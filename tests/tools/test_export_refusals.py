"""Which models have no graph, as docs/export.md lists them, and in what words they are refused."""

import re
from pathlib import Path

import pytest
import torch

from pointrend_repro import UserError, list_models
from pointrend_repro.checkpoints.known_models import known_model
from pointrend_repro.checkpoints.loading import new_model
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.modeling.build import build_detector
from pointrend_repro.tools.export import writing
from pointrend_repro.tools.export.choosing import Asked


class AcceptedError(Exception):
    """In place of a graph that is written."""


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise AcceptedError

    def load(name: str, _: Path) -> SavedModel:
        with torch.device("meta"):
            return new_model(name)

    monkeypatch.setattr(writing, "write_graph", write)
    monkeypatch.setattr(writing, "load_known_model", load)


def refusal(name: str, tmp_path: Path, **asked: int) -> str | None:
    """The error of an export; None: there is a graph."""
    weights, output = tmp_path / "weights.pkl", tmp_path / "g.pt2"
    try:
        writing.export_model(name, weights, "pt2", output, Asked(**asked))
    except AcceptedError:
        return None
    except UserError as error:
        return str(error)
    raise AssertionError("neither written nor refused")


@pytest.mark.slow
def test_which_known_models_have_no_graph(tmp_path: Path) -> None:
    refused = {name: told for name in list_models() if (told := refusal(name, tmp_path))}
    kinds = {re.split(r"_r\d", name)[0] for name in refused}
    assert not any("\n" in told for told in refused.values())
    assert kinds == {
        "deeplabv3",
        "deeplabv3_pointrend",
        "semantic_fpn",
        "semantic_fpn_pointrend",
        "deepmask",
        "sharpmask",
        "htc",
        "mask_rcnn",  # on C4 and C5
        "mask_scoring_rcnn",
    }
    assert "sharpmask_r50_fpn_coco" not in refused
    assert {name for name in refused if name.startswith("mask_rcnn")} == {
        f"mask_rcnn_{trunk}_{maps}_coco" for trunk in ("r50", "r101") for maps in ("c4", "dc5")
    }
    assert "features c4" in refused["mask_rcnn_r50_c4_coco"]
    assert "mask_scoring cannot" in refused["mask_scoring_rcnn_r50_fpn_coco"]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("semantic_fpn_r101_cityscapes", "semantic"),
        ("deepmask_r50_coco", "deepmask"),
        ("htc_r50_fpn_coco", "htc"),
    ],
)
def test_another_family_is_told_what_has_a_graph(name: str, family: str, tmp_path: Path) -> None:
    told = refusal(name, tmp_path) or ""
    assert told.startswith(f"{name}: is of family {family}, which cannot be exported; ")
    assert told.endswith("detectors of family mask_rcnn, with a mask head or without, and SOLOv2")


def give_faster_rcnn(monkeypatch: pytest.MonkeyPatch, **changes: bool) -> None:
    """Put a Faster R-CNN with other settings in the place of the published one."""
    known = known_model("faster_rcnn_r50_fpn_coco")
    settings = known.model.model_copy(update=changes)
    with torch.device("meta"):
        saved = SavedModel(build_detector(settings, 1), known.input, known.categories[:1])
    monkeypatch.setattr(writing, "load_known_model", lambda *_: saved)


def test_an_rpn_alone_is_not_said_to_lack_a_mask_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_faster_rcnn(monkeypatch, rpn_only=True)
    told = refusal("faster_rcnn_r50_fpn_coco", tmp_path) or ""
    assert "proposes boxes and finds no objects" in told
    assert "family" not in told


def test_a_detector_of_given_boxes_has_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_faster_rcnn(monkeypatch, given_proposals=True)
    assert "`proposals_from`" in (refusal("faster_rcnn_r50_fpn_coco", tmp_path) or "")


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("mask_rcnn_r50_fpn_coco", "mask head 4conv"),
        ("faster_rcnn_r50_fpn_coco", "no mask head"),
        ("solov2_light_r50_fpn_coco", "no mask head"),
    ],
)
@pytest.mark.parametrize("option", ["output-resolution", "points-per-step"])
def test_what_only_pointrend_reads_is_refused_for_others(
    option: str, name: str, has: str, tmp_path: Path
) -> None:
    told = refusal(name, tmp_path, **{option.replace("-", "_"): 56})
    assert told == f"--{option}: is for PointRend's masks, and this model has {has}; leave it out"
