"""Weights keep their values on the way to detectron2's names and back."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.detectron2_names import (
    from_caffe2,
    from_detectron2,
    to_detectron2,
)
from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import (
    convert,
    load_known_model,
    new_model,
    save_detectron2,
)
from pointrend_repro.checkpoints.pickles import read_pickle
from pointrend_repro.checkpoints.reading import read_checkpoint
from pointrend_repro.checkpoints.saved_models import (
    SavedModel,
    build_model,
    load_saved_model,
    save_model,
)
from pointrend_repro.settings.instances import ModelSettings

INSTANCE_MODELS = [
    name for name, known in KNOWN_MODELS.items() if isinstance(known.model, ModelSettings)
]

# As they stand in detectron2's published checkpoints.
MASK_RCNN_NAMES = {
    "backbone.bottom_up.stem.conv1.weight": (64, 3, 7, 7),
    "backbone.bottom_up.res2.0.shortcut.norm.running_var": (256,),
    "backbone.fpn_lateral2.weight": (256, 256, 1, 1),
    "backbone.fpn_lateral5.bias": (256,),
    "backbone.fpn_output3.weight": (256, 256, 3, 3),
    "proposal_generator.rpn_head.conv.weight": (256, 256, 3, 3),
    "proposal_generator.rpn_head.objectness_logits.weight": (3, 256, 1, 1),
    "proposal_generator.rpn_head.anchor_deltas.bias": (12,),
    "roi_heads.box_head.fc1.weight": (1024, 12544),
    "roi_heads.box_predictor.cls_score.weight": (81, 1024),
    "roi_heads.box_predictor.bbox_pred.weight": (320, 1024),
    "roi_heads.mask_head.mask_fcn1.weight": (256, 256, 3, 3),
    "roi_heads.mask_head.mask_fcn4.bias": (256,),
    "roi_heads.mask_head.deconv.weight": (256, 256, 2, 2),
    "roi_heads.mask_head.predictor.weight": (80, 256, 1, 1),
}
POINTREND_NAMES = {
    "roi_heads.mask_head.coarse_head.reduce_spatial_dim_conv.weight": (256, 256, 2, 2),
    "roi_heads.mask_head.coarse_head.fc1.weight": (1024, 12544),
    "roi_heads.mask_head.coarse_head.fc2.bias": (1024,),
    "roi_heads.mask_head.coarse_head.prediction.weight": (3920, 1024),
    "roi_heads.mask_head.point_head.fc1.weight": (256, 336, 1),
    "roi_heads.mask_head.point_head.fc3.weight": (256, 336, 1),
    "roi_heads.mask_head.point_head.predictor.weight": (80, 336, 1),
}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("mask_rcnn_r50_fpn_coco", MASK_RCNN_NAMES), ("pointrend_r50_fpn_coco", POINTREND_NAMES)],
)
def test_names_and_shapes_are_detectron2s(name, wanted):
    theirs = to_detectron2(known_shapes(name))
    assert {key: theirs.get(key) for key in wanted} == wanted


def test_names_of_larger_heads_are_detectron2s():
    """As its code names them (commit 02b5c4e2); no published checkpoint has such heads."""
    levels = ("p2", "p3", "p4", "p5")
    changes = {"levels": levels, "coarse_layers": 4, "point_layers": 5}
    known = KNOWN_MODELS["pointrend_r50_fpn_coco"].model
    model = known.model_copy(
        update={
            "mask_head": known.mask_head.model_copy(update=changes),
            "detector": known.detector.model_copy(
                update={"box_head_layers": 4, "class_agnostic_boxes": True}
            ),
        }
    )
    with torch.device("meta"):
        ours = {k: tuple(t.shape) for k, t in build_model(model, 80).state_dict().items()}
    theirs = to_detectron2(ours)
    head = "roi_heads.mask_head"
    wanted = {
        f"{head}.coarse_head.reduce_channel_dim_conv.weight": (256, 1024, 1, 1),
        f"{head}.coarse_head.reduce_spatial_dim_conv.weight": (256, 256, 2, 2),
        f"{head}.coarse_head.fc4.weight": (1024, 1024),
        f"{head}.point_head.fc1.weight": (256, 1104, 1),
        f"{head}.point_head.fc5.weight": (256, 336, 1),
        "roi_heads.box_head.fc4.weight": (1024, 1024),
        "roi_heads.box_predictor.bbox_pred.weight": (4, 1024),
    }
    assert {key: theirs.get(key) for key in wanted} == wanted
    assert from_detectron2(theirs) == ours


@pytest.mark.parametrize("name", INSTANCE_MODELS)
def test_renaming_back_and_forth_changes_nothing(name):
    shapes = known_shapes(name)
    theirs = to_detectron2(shapes)
    assert len(theirs) == len(shapes)
    assert from_detectron2(theirs) == shapes
    assert from_detectron2(shapes) == shapes  # our own names pass


@pytest.mark.parametrize("trunk", ["r50", "r101", "x101"])
def test_faster_rcnn_has_mask_rcnn_s_names_but_those_of_masks(trunk):
    boxes, masks = (
        to_detectron2(known_shapes(f"{kind}_rcnn_{trunk}_fpn_coco")) for kind in ("faster", "mask")
    )
    assert boxes.items() <= masks.items()
    assert all(name.startswith("roi_heads.mask_head.") for name in masks.keys() - boxes.keys())


def test_a_file_with_masks_does_not_fit_a_model_without_them(tmp_path):
    masks = new_model("mask_rcnn_r50_fpn_coco")
    path = tmp_path / "model.safetensors"
    save_file({name: t.contiguous() for name, t in masks.model.state_dict().items()}, path)
    with pytest.raises(UserError, match="mask_head"):
        load_known_model("faster_rcnn_r50_fpn_coco", path)


def test_old_pointrend_names():
    shapes = known_shapes("pointrend_r50_fpn_coco")
    old = {}
    for key, shape in to_detectron2(shapes).items():
        key = key.replace("mask_head.coarse_head.fc", "mask_head.coarse_head.coarse_mask_fc")
        key = key.replace("mask_head.coarse_head.", "mask_coarse_head.")
        old[key.replace("mask_head.point_head.", "mask_point_head.")] = shape
    assert "roi_heads.mask_coarse_head.coarse_mask_fc1.weight" in old
    assert "roi_heads.mask_point_head.fc1.weight" in old
    assert from_detectron2(old) == shapes


def test_constants_of_old_checkpoints_are_no_parameters():
    old = {
        "pixel_mean": 0,
        "proposal_generator.anchor_generator.cell_anchors.0": 0,
        "backbone.bottom_up.stem.conv1.norm.num_batches_tracked": 0,
        "unheard.of": 0,
    }
    assert set(from_detectron2(old)) == {"unheard.of"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[SavedModel, "object"]:
    """A model whose every tensor is different, as our file."""
    torch.manual_seed(0)
    saved = new_model("pointrend_r50_fpn_cityscapes")
    for tensor in saved.model.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, saved)
    return saved, path


def test_round_trip_through_a_pickle_is_exact(trained, tmp_path):
    saved, path = trained
    convert(path, tmp_path / "a.pkl", "pointrend_r50_fpn_cityscapes")
    convert(tmp_path / "a.pkl", tmp_path / "b.safetensors", "pointrend_r50_fpn_cityscapes")
    content = read_pickle(tmp_path / "a.pkl")
    assert content["__author__"] == "pointrend-repro"
    assert all(type(array) is np.ndarray for array in content["model"].values())
    back = load_saved_model(tmp_path / "b.safetensors")
    assert back.model.settings == saved.model.settings
    assert back.categories == saved.categories
    for key, tensor in saved.model.state_dict().items():
        assert torch.equal(back.model.state_dict()[key], tensor), key


def test_pixel_statistics_travel(trained, tmp_path):
    saved, _ = trained
    backbone = saved.model.settings.backbone.model_copy(update={"pixel_std": (57.0, 58.0, 59.5)})
    settings = saved.model.settings.model_copy(update={"backbone": backbone})
    other = SavedModel(build_model(settings, 8).eval(), saved.input, saved.categories)
    save_model(tmp_path / "a.safetensors", other)
    convert(tmp_path / "a.safetensors", tmp_path / "a.pkl", "pointrend_r50_fpn_cityscapes")
    back = load_known_model("pointrend_r50_fpn_cityscapes", tmp_path / "a.pkl").model
    assert back.settings.backbone == backbone
    assert back.backbone.pixel_std.flatten().tolist() == [57.0, 58.0, 59.5]


def rgb_model(tmp_path):
    """A model as mmdetection trains it, in our own file."""
    known = KNOWN_MODELS["mask_rcnn_r50_fpn_coco"]
    trunk = KNOWN_MODELS["mask_rcnn_x101_64x4d_fpn_coco"].model.backbone
    backbone = trunk.model_copy(update={"name": "resnet50", "fpn_channels": 8})
    detector = known.model.detector.model_copy(update={"box_head_channels": 8})
    settings = known.model.model_copy(update={"backbone": backbone, "detector": detector})
    path = tmp_path / "rgb.safetensors"
    save_model(path, SavedModel(build_model(settings, 80).eval(), known.input, known.categories))
    return backbone, path


def test_channel_order_and_stride_travel(tmp_path, caplog):
    backbone, path = rgb_model(tmp_path)
    pickled = tmp_path / "rgb.pkl"
    convert(path, pickled, "mask_rcnn_r50_fpn_coco")
    found = read_checkpoint(pickled)
    assert dict(found.backbone) == {"channel_order": "RGB", "stride_in_1x1": False}
    assert (found.pixel_mean, found.pixel_std) == (backbone.pixel_mean, backbone.pixel_std)
    (told,) = caplog.messages
    assert told == (
        f"{pickled}: detectron2 takes from its configuration how pixels are fed and where the "
        "stride is; what its defaults do not say: INPUT.FORMAT: RGB, "
        "MODEL.RESNETS.STRIDE_IN_1X1: False, MODEL.PIXEL_MEAN: [123.675, 116.28, 103.53], "
        "MODEL.PIXEL_STD: [58.395, 57.12, 57.375]"
    )


def test_a_pickle_s_channel_order_and_stride_are_the_model_s(trained, tmp_path):
    saved, _ = trained
    changes = {"channel_order": "RGB", "stride_in_1x1": False}
    backbone = saved.model.settings.backbone.model_copy(update=changes)
    settings = saved.model.settings.model_copy(update={"backbone": backbone})
    other = SavedModel(build_model(settings, 8).eval(), saved.input, saved.categories)
    save_detectron2(tmp_path / "a.pkl", other)
    back = load_known_model("pointrend_r50_fpn_cityscapes", tmp_path / "a.pkl").model
    assert back.settings.backbone == backbone
    assert back.backbone.bottom_up.res3[0].conv1.stride == (1, 1)


def test_a_pickle_for_detectron2_s_defaults_needs_no_warning(trained, tmp_path, caplog):
    convert(trained[1], tmp_path / "a.pkl", "pointrend_r50_fpn_cityscapes")
    assert not caplog.messages


@pytest.mark.parametrize(
    "told", [7, {"channel_order": "GBR"}, {"stride_in_1x1": 1}, {"freeze_at": 2}, {"": {}}]
)
def test_what_a_pickle_tells_of_its_backbone_is_checked(tmp_path, told):
    content = {"model": {"a": np.zeros(2)}, "pointrend_repro": told}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"a\.pkl: pointrend_repro is not channel_order") as error:
        read_checkpoint(tmp_path / "a.pkl")
    assert "\n" not in str(error.value)


def test_converting_to_an_unknown_kind(trained, tmp_path):
    with pytest.raises(UserError, match=r"must end in \.safetensors or \.pkl"):
        convert(trained[1], tmp_path / "a.onnx", "pointrend_r50_fpn_cityscapes")


NOT_OF_DETECTRON2 = ("mask_scoring_rcnn_", "sharpmask_", "deepmask_", "htc_", "solov2_")


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_models_that_detectron2_does_not_have_are_not_written_for_it(name, tmp_path):
    """All others get as far as the file, which is missing."""
    own = name.startswith(NOT_OF_DETECTRON2)
    told = rf"m\.pkl: detectron2 has no model like {name}" if own else r"none\.pkl: no such file"
    with pytest.raises(UserError, match=told) as error:
        convert(tmp_path / "none.pkl", tmp_path / "m.pkl", name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "told"), [({"context_ratio": 0.25}, "GC blocks"), ({"balancing_blocks": 1}, "BFP")]
)
def test_nor_is_a_model_of_ours_that_has_more(changes, told, tmp_path):
    known = KNOWN_MODELS["mask_rcnn_r50_fpn_coco"]
    backbone = known.model.backbone.model_copy(update=changes | {"fpn_channels": 8})
    detector = known.model.detector.model_copy(update={"box_head_channels": 8})
    settings = known.model.model_copy(update={"backbone": backbone, "detector": detector})
    path = tmp_path / "m.safetensors"
    save_model(path, SavedModel(build_model(settings, 80).eval(), known.input, known.categories))
    with pytest.raises(UserError, match=f"detectron2 has no model like mask_r.*: no {told}"):
        convert(path, tmp_path / "m.pkl", "mask_rcnn_r50_fpn_coco")
    assert not (tmp_path / "m.pkl").exists()


def test_caffe2_names():
    names = {
        "conv1_w": "stem.conv1.weight",
        "res_conv1_bn_s": "stem.conv1.norm.weight",
        "res_conv1_bn_b": "stem.conv1.norm.bias",
        "res2_0_branch1_w": "res2.0.shortcut.weight",
        "res2_0_branch1_bn_gamma": "res2.0.shortcut.norm.weight",
        "res4_22_branch2a_w": "res4.22.conv1.weight",
        "res4_22_branch2b_bn_beta": "res4.22.conv2.norm.bias",
        "res5_2_branch2c_bn_running_mean": "res5.2.conv3.norm.running_mean",
        "res5_2_branch2c_bn_riv": "res5.2.conv3.norm.running_var",
        "fc1000_w": None,
        "pred_b": None,
        "conv1_w_momentum": None,
        "lr": None,
    }
    renamed = from_caffe2({key: key for key in names})
    assert renamed == {new: key for key, new in names.items() if new}
