"""Our settings in detectron2's words, against its own configuration files; detectron2 not needed.

`tests/recorded/detectron2_configs.json` holds what those files set at commit 02b5c4e2.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.config.papers import load_paper
from pointrend_repro.config.reading import (
    load_dataset,
    load_preset,
    load_variant,
    resolve_training,
)
from pointrend_repro.engines.detectron2.config import inference_config, training_config
from pointrend_repro.engines.detectron2.detector_keys import detector_keys, detector_problems
from pointrend_repro.engines.detectron2.keys import Key
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings, TrainingSettings
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings

RECORDED = json.loads(
    (Path(__file__).resolve().parents[1] / "recorded" / "detectron2_configs.json").read_text()
)

# Where ours is meant to be another: the paper's value, or a name of ours.
ALWAYS = {
    "DATASETS.TRAIN",
    "DATASETS.TEST",
    "MODEL.WEIGHTS",  # a path of ours, of the same file
    "SOLVER.WARMUP_FACTOR",  # from 0.001; detectron2: from 0.001 of the rate
}
DETECTOR = ALWAYS | {"SOLVER.WEIGHT_DECAY_NORM"}  # of which BN frozen has nothing
POINTREND = DETECTOR | {"MODEL.ROI_MASK_HEAD.NUM_CONV"}  # of the 4x conv head

# Variant, data set, classes, inference; detectron2's file; keys that differ.
CASES = {
    "mask_rcnn_R_50_FPN_1x": (
        ("mask_rcnn_r50_fpn", "coco", 80, "default"),
        DETECTOR | {"INPUT.MASK_FORMAT"},
    ),
    "pointrend_rcnn_R_50_FPN_1x_coco": (("pointrend_r50_fpn", "coco", 80, "res224"), POINTREND),
    "pointrend_rcnn_R_101_FPN_3x_coco": (
        ("pointrend_r101_fpn_3x", "coco", 80, "res224"),
        POINTREND,
    ),
    "pointrend_rcnn_X_101_32x8d_FPN_3x_coco": (
        ("pointrend_x101_fpn_3x", "coco", 80, "res224"),
        POINTREND,
    ),
    "pointrend_rcnn_R_50_FPN_1x_cityscapes": (
        ("pointrend_r50_fpn", "cityscapes", 8, "res224"),
        POINTREND,
    ),
    "pointrend_semantic_R_101_FPN_1x_cityscapes": (
        ("semantic_fpn_pointrend_r101_detectron2", "cityscapes", 19, "default"),
        ALWAYS
        | {
            "DATALOADER.NUM_WORKERS",
            "INPUT.MAX_SIZE_TRAIN",  # ours has no limit; its images do not reach it
            "INPUT.MIN_SIZE_TRAIN",  # the paper: in steps of 32
            "MODEL.POINT_HEAD.COARSE_PRED_EACH_LAYER",  # the paper: in each
            "MODEL.POINT_HEAD.SUBDIVISION_NUM_POINTS",  # the paper: 8096
        },
    ),
}

# What a semantic model of detectron2's never reads, but its base file sets.
UNREAD = ("MODEL.ROI_", "MODEL.RPN.", "MODEL.ANCHOR_GENERATOR.")


def _settings(variant: str, dataset: str) -> AnyTrainingSettings:
    where = f"{variant} on {dataset}"
    recipes = load_paper("pointrend").recipes_for([dataset])
    return resolve_training(
        load_preset("paper"), load_dataset(dataset), load_variant(variant), recipes, where=where
    )


def _values(keys: Iterable[Key]) -> dict[str, Any]:
    return json.loads(json.dumps({key.name: key.value for key in keys}))


def _all_keys(variant: str, dataset: str, classes: int, inference: str) -> list[Key]:
    settings = _settings(variant, dataset)
    asked = load_variant(variant).inference[inference]
    return [
        *training_config(settings, num_classes=classes, seed=-1),
        *inference_config(settings.model, settings.input, asked, num_classes=classes),
    ]


@pytest.mark.parametrize("name", CASES)
def test_the_published_configurations_come_out(name: str) -> None:
    arguments, differ = CASES[name]
    ours = RECORDED["defaults"] | _values(_all_keys(*arguments))
    theirs = RECORDED["defaults"] | RECORDED[name]
    is_semantic = "semantic" in name
    found = {
        key
        for key in theirs
        if ours[key] != theirs[key] and not (is_semantic and key.startswith(UNREAD))
    }
    assert found == differ


@pytest.mark.parametrize("name", CASES)
def test_every_key_exists_and_tells_its_source_once(name: str) -> None:
    arguments, _ = CASES[name]
    settings = _settings(*arguments[:2])
    keys = training_config(settings, num_classes=arguments[2], seed=3)
    assert {key.name for key in keys} <= set(RECORDED["defaults"])
    assert len({key.name for key in keys}) == len(keys)
    dump = settings.model_dump()
    for key in keys:
        section, _, rest = key.source.partition(".")
        if section in dump and section != "engine":
            assert rest.split(".")[0].split(" ")[0] in dump[section], key


def test_the_paper_decides_where_detectron2_differs() -> None:
    values = _values(_all_keys("pointrend_r50_fpn", "coco", 80, "res224"))
    assert values["SOLVER.WARMUP_FACTOR"] * values["SOLVER.BASE_LR"] == pytest.approx(0.001)
    values = _values(
        _all_keys("semantic_fpn_pointrend_r101_detectron2", "cityscapes", 19, "default")
    )
    assert values["MODEL.POINT_HEAD.SUBDIVISION_NUM_POINTS"] == 8096
    assert values["INPUT.MIN_SIZE_TRAIN"] == list(range(512, 2049, 32))


@pytest.mark.parametrize(
    ("level", "stride", "levels", "steps"),
    [("p2", 4, ["p2", "p3", "p4", "p5"], 2), ("p3", 8, ["p3", "p4", "p5"], 3)],
)
def test_semantic_fpn_predicts_at_the_stride_of_its_finest_level(
    level: str, stride: int, levels: list[str], steps: int
) -> None:
    settings = _settings("semantic_fpn_pointrend_r101_detectron2", "cityscapes")
    decoder = settings.model.decoder.model_copy(update={"finest_level": level})
    model = settings.model.model_copy(update={"decoder": decoder})
    values = _values(
        inference_config(model, settings.input, SemanticInferenceSettings(), num_classes=19)
    )
    assert values["MODEL.SEM_SEG_HEAD.COMMON_STRIDE"] == stride
    assert values["MODEL.SEM_SEG_HEAD.IN_FEATURES"] == levels
    assert values["MODEL.POINT_HEAD.SUBDIVISION_STEPS"] == steps


@pytest.mark.parametrize(("side", "steps"), [(7, 0), (28, 2), (56, 3), (224, 5)])
def test_output_resolutions_are_subdivision_steps_from_7(side: int, steps: int) -> None:
    settings = _settings("pointrend_r50_fpn", "coco")
    asked = InferenceSettings(output_resolution=side, points_per_step=100)
    values = _values(inference_config(settings.model, settings.input, asked, num_classes=80))
    assert values["MODEL.POINT_HEAD.SUBDIVISION_STEPS"] == steps


# A variant, what of its settings is changed, and what the message names.
REFUSED = {
    "a trunk of ours": ({"model.backbone.name": "resnet18_narrow"}, "resnet18_narrow"),
    "a multi-grid": ({"model.backbone.multi_grid": (1, 2, 4)}, "backbone.multi_grid [1, 2, 4]"),
    "a dilated trunk below a pyramid": (
        {"model.backbone.output_stride": 16},
        "backbone.output_stride 16 on features fpn",
    ),
    "GN": ({"model.backbone.norm": "gn"}, "backbone.norm gn"),
    "a regular grid": (
        {"model.mask_head.train_selection": "regular_grid"},
        "train_selection regular_grid",
    ),
    "the sum over points": ({"model.mask_head.point_loss": "sum"}, "point_loss sum"),
    "bf16": ({"optimizer.precision": "bf16"}, "precision bf16"),
    "skipped updates": ({"optimizer.on_non_finite_loss": "skip"}, "on_non_finite_loss skip"),
    "another share of flips": ({"input.flip_probability": 0.25}, "flip_probability 0.25"),
    "a drop during the warm-up": (
        {"schedule.lr_drop_iters": (500,)},
        "lr_drop_iters during optimizer.warmup_iters",
    ),
    "a warm-up past the end": (
        {"optimizer.warmup_iters": 100_000, "schedule.lr_drop_iters": ()},
        "warmup_iters past schedule.total_iters",
    ),
    "RoIWarp": (
        {"model.detector.roi_layer": {"kind": "roi_warp"}},
        "model.detector.roi_layer.kind roi_warp",
    ),
    "the largest sample": (
        {"model.detector.roi_layer": {"aggregation": "max", "sampling_ratio": 2}},
        "roi_layer.aggregation max of roi_align",
    ),
    "a softmax of masks": (
        {"model.mask_head": {"kind": "4conv", "mask_loss": "softmax"}},
        "model.mask_head.mask_loss softmax",
    ),
    "scores of masks": (
        {"model.mask_head": {"kind": "4conv", "mask_scoring": {}}},
        "model.mask_head.mask_scoring",
    ),
    "RoIPool with a head of ours": (
        {
            "model.mask_head": {"kind": "mlp"},
            "model.detector.roi_layer": {"kind": "roi_pool", "aggregation": "max"},
        },
        "roi_layer with model.mask_head.kind mlp",
    ),
    "keypoints": ({"model.keypoint_head": {}}, "keypoints here (model.keypoint_head)"),
    "p6 at points": (
        {"model.mask_head.levels": ("p2", "p6")},
        "mask_head.levels p2, p6 (p2 to p5)",
    ),
    "a convolution wider than what it sees": (
        {"model.mask_head.coarse_conv_channels": 512},
        "mask_head.coarse_conv_channels 512",
    ),
    "a balanced pyramid": (
        {"model.backbone.balancing_blocks": 1},
        "model.backbone.balancing_blocks 1",
    ),
    "clipping of all gradients together": ({"optimizer.clip_norm": 35.0}, "clip_norm 35"),
    "a power": (
        {"schedule.lr_drop_iters": (), "schedule.poly_power": 0.9},
        "schedule.poly_power",
    ),
}


def _changed(settings: TrainingSettings, changes: dict[str, Any]) -> TrainingSettings:
    values = settings.model_dump()
    for path, value in changes.items():
        *sections, key = path.split(".")
        node = values
        for section in sections:
            node = node[section]
        node[key] = value
    return TrainingSettings.model_validate(values)


@pytest.mark.parametrize("name", REFUSED)
def test_what_detectron2_cannot_do_is_refused_in_a_line(name: str) -> None:
    changes, told = REFUSED[name]
    settings = _settings("pointrend_r50_fpn", "coco")
    assert isinstance(settings, TrainingSettings)
    training_config(settings, num_classes=80, seed=0)
    with pytest.raises(UserError) as error:
        training_config(_changed(settings, changes), num_classes=80, seed=0)
    message = str(error.value)
    assert message.startswith("engine detectron2 has no ")
    assert told in message
    assert "\n" not in message


# What of Mask R-CNN's settings is changed, and which keys change then.
MASK_RCNN = {
    "RoIPool": (
        {"model.detector.roi_layer": {"kind": "roi_pool", "aggregation": "max"}},
        {
            "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIPool",
            "MODEL.ROI_MASK_HEAD.POOLER_TYPE": "ROIPool",
        },
    ),
    "four samples": (
        {"model.detector.roi_layer": {"sampling_ratio": 2}},
        {
            "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2,
            "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO": 2,
        },
    ),
    "one mask for all classes": (
        {"model.mask_head.class_agnostic": True},
        {"MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK": True},
    ),
    "no masks": ({"model.mask_head": {"kind": "none"}}, {"MODEL.MASK_ON": False}),
    "a larger box head": (
        {
            "model.detector.box_head_layers": 4,
            "model.detector.box_roi_resolution": 10,
            "model.detector.class_agnostic_boxes": True,
        },
        {
            "MODEL.ROI_BOX_HEAD.NUM_FC": 4,
            "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 10,
            "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
        },
    ),
    "more proposals in training": (
        {"model.detector.rpn_post_nms_train": 2000},
        {"MODEL.RPN.POST_NMS_TOPK_TRAIN": 2000},
    ),
    "sizes from a range": (
        {"input.train_short_edge_range_px": (1200, 1400), "input.train_max_long_edge_px": 1400},
        {
            "INPUT.MIN_SIZE_TRAIN": [1200, 1400],
            "INPUT.MIN_SIZE_TRAIN_SAMPLING": "range",
            "INPUT.MAX_SIZE_TRAIN": 1400,
        },
    ),
}

# The same of PointRend's.
POINTREND_PARTS = {
    "several levels": (
        {"model.mask_head.levels": ("p2", "p3", "p4", "p5")},
        {
            "MODEL.ROI_MASK_HEAD.IN_FEATURES": ["p2", "p3", "p4", "p5"],
            "MODEL.POINT_HEAD.IN_FEATURES": ["p2", "p3", "p4", "p5"],
        },
    ),
    "more layers": (
        {
            "model.mask_head.coarse_layers": 4,
            "model.mask_head.point_layers": 5,
            "model.mask_head.coarse_conv_channels": 128,
        },
        {
            "MODEL.ROI_MASK_HEAD.NUM_FC": 4,
            "MODEL.ROI_MASK_HEAD.CONV_DIM": 128,
            "MODEL.POINT_HEAD.NUM_FC": 5,
        },
    ),
}


@pytest.mark.parametrize("name", [*MASK_RCNN, *POINTREND_PARTS])
def test_parts_that_detectron2_has_are_its_keys(name: str) -> None:
    changes, expected = (MASK_RCNN | POINTREND_PARTS)[name]
    variant = "mask_rcnn_r50_fpn" if name in MASK_RCNN else "pointrend_r50_fpn"
    settings = _settings(variant, "coco")
    assert isinstance(settings, TrainingSettings)
    before, after = (
        RECORDED["defaults"] | _values(training_config(each, num_classes=80, seed=0))
        for each in (settings, _changed(settings, changes))
    )
    differ = {key for key in after if after[key] != before[key]}
    read = {key for key in differ if not (name == "no masks" and "ROI_MASK_HEAD" in key)}
    assert {key: after[key] for key in read} == expected


def test_a_multi_grid_that_changes_nothing_is_no_obstacle() -> None:
    changes = {"backbone": {"name": "resnet50", "output_stride": 16, "multi_grid": (1, 1, 1)}}
    assert detector_problems(_one_map("c5", **changes)) == []


def test_all_that_it_cannot_do_stands_in_one_line() -> None:
    changes = REFUSED["bf16"][0] | REFUSED["a trunk of ours"][0]
    settings = _settings("pointrend_r50_fpn", "coco")
    assert isinstance(settings, TrainingSettings)
    with pytest.raises(UserError, match=r"resnet18_narrow.*precision bf16"):
        training_config(_changed(settings, changes), num_classes=80, seed=0)


def test_sharpmask_in_two_stages_is_refused() -> None:
    settings = _settings("sharpmask_r50_fpn", "coco")
    assert isinstance(settings, TrainingSettings)
    changed = _changed(settings, {"model.mask_head.coarse_stage_share": 0.5})
    with pytest.raises(UserError, match="coarse_stage_share"):
        training_config(changed, num_classes=80, seed=0)


@pytest.mark.parametrize("variant", ["deeplabv3_r103", "deeplabv3_pointrend_r103"])
def test_deeplabv3_is_refused(variant: str) -> None:
    with pytest.raises(UserError, match=r"engine detectron2 has no deeplabv3.*poly_power"):
        training_config(_settings(variant, "cityscapes"), num_classes=19, seed=0)


def test_the_papers_uncertainty_is_refused() -> None:
    settings = _settings("semantic_fpn_pointrend_r101", "cityscapes")
    with pytest.raises(UserError, match="uncertainty probabilities"):
        training_config(settings, num_classes=19, seed=0)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"output_resolution": 200}, "output_resolution 200"),
        ({"output_resolution": 28, "points_per_step": 3136}, "points_per_step 3136"),
        ({"test": {"flip": True, "nms": "soft_linear"}}, r"test.nms soft_linear.*test.flip True"),
        ({"test": {"more_short_edges_px": [600]}}, r"test.more_short_edges_px \(600,\)"),
    ],
)
def test_inference_that_it_cannot_do_is_refused(asked: dict[str, Any], told: str) -> None:
    settings = _settings("pointrend_r50_fpn", "coco")
    asked_for = InferenceSettings.model_validate(asked)
    with pytest.raises(UserError, match=told):
        inference_config(settings.model, settings.input, asked_for, num_classes=80)


def test_what_a_model_is_tested_with_reaches_detectron2() -> None:
    grid = load_grid("paper_detectron2")
    settings = grid.training_settings("coco", "pointrend_r50_fpn_detectron2")
    test = {"short_edge_px": 640, "rpn_post_nms": 50, "nms_iou": 0.3, "detections_per_image": 7}
    inference = InferenceSettings.model_validate({"test": test})
    keys = {
        key.name: key.value
        for key in inference_config(settings.model, settings.input, inference, num_classes=80)
    }
    assert keys["INPUT.MIN_SIZE_TEST"] == 640
    assert keys["INPUT.MAX_SIZE_TEST"] == 1333
    assert keys["MODEL.RPN.POST_NMS_TOPK_TEST"] == 50
    assert keys["MODEL.ROI_HEADS.NMS_THRESH_TEST"] == 0.3
    assert keys["TEST.DETECTIONS_PER_IMAGE"] == 7


ONE_MAP = {
    "mask_rcnn_R_50_C4_1x": "mask_rcnn_r50_c4_coco",
    "mask_rcnn_R_50_DC5_1x": "mask_rcnn_r50_dc5_coco",
}


def _one_map(features: str, **changes: Any) -> ModelSettings:
    head = {"c4": "res5", "c5": "4conv"}[features]
    values = {"backbone": {"name": "resnet50"}, "features": features, "mask_head": {"kind": head}}
    return ModelSettings.model_validate(values | changes)


@pytest.mark.parametrize("name", ONE_MAP)
def test_models_on_one_map_are_those_of_the_published_configurations(name: str) -> None:
    known = KNOWN_MODELS[ONE_MAP[name]]
    keys = inference_config(known.model, known.input, known.inference, num_classes=80)
    ours = RECORDED["defaults"] | _values(keys)
    theirs = RECORDED["defaults"] | RECORDED[name]
    of_model = {key for key in theirs if key.startswith("MODEL.") and "_TRAIN" not in key}
    different = {key for key in of_model if ours[key] != theirs[key]}
    unread = {f"MODEL.ROI_BOX_HEAD.{key}" for key in ("NAME", "NUM_FC")}  # res5 is the box head
    wanted = {"MODEL.WEIGHTS"} | (unread if "C4" in name else set())  # a path of ours
    assert {key for key in different if ".FPN." not in key} == wanted
    assert len({key.name for key in keys}) == len(keys)


def test_the_papers_losses_are_translated() -> None:
    detector = {"box_loss": "smooth_l1", "rpn_inside_anchors_only": True}
    values = _values(detector_keys(_one_map("c4", detector=detector), 80))
    assert values["MODEL.RPN.SMOOTH_L1_BETA"] == pytest.approx(1 / 9)
    assert values["MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA"] == 1
    assert values["MODEL.RPN.BOUNDARY_THRESH"] == 0
    assert set(values) <= set(RECORDED["defaults"])


@pytest.mark.parametrize(
    ("features", "changes", "told"),
    [
        ("c4", {"detector": {"res5_stride": 1}}, "model.detector.res5_stride 1"),
        ("c4", {"mask_head": {"kind": "res5", "mask_loss": "softmax"}}, "mask_loss softmax"),
        ("c4", {"mask_head": {"kind": "4conv"}}, "kind 4conv on features c4"),
        ("c5", {"mask_head": {"kind": "mlp"}}, "kind mlp on features c5"),
        ("c5", {"backbone": {"name": "resnet50", "output_stride": 8}}, "output_stride 8"),
        ("c5", {"backbone": {"name": "resnet50", "multi_grid": (1, 2, 1)}}, "multi_grid [1, 2, 1]"),
    ],
)
def test_what_it_lacks_on_one_map_is_refused(
    features: str, changes: dict[str, Any], told: str
) -> None:
    (problem,) = detector_problems(_one_map(features, **changes))
    assert told in problem
