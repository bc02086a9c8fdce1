"""SemanticFPN, with and without PointRend, as keys of detectron2's configuration."""

from pointrend_repro.engines.detectron2.keys import Key, backbone_keys, backbone_problems
from pointrend_repro.settings.semantic import (
    SemanticFPNSettings,
    SemanticInferenceSettings,
    SemanticInputSettings,
    SemanticModelSettings,
    SemanticPointRendSettings,
)

_SEMANTIC_BASE = "detectron2's Base-PointRend-Semantic-FPN.yaml"
_LEVELS = ["p2", "p3", "p4", "p5"]
_STRIDES = {"p2": 4, "p3": 8}
_DOUBLINGS = {"p2": 2, "p3": 3}

# From this width on, ours has 32 normalisation groups as well.
_MIN_CHANNELS = 128


def semantic_keys(settings: SemanticModelSettings, num_classes: int) -> list[Key]:
    """Translate a SemanticFPN."""
    decoder = _semantic_fpn(settings)
    head, own = "MODEL.SEM_SEG_HEAD", "model.decoder"
    levels = _LEVELS[_LEVELS.index(decoder.finest_level) :]
    keys = [
        Key("MODEL.META_ARCHITECTURE", "SemanticSegmentor", _SEMANTIC_BASE),
        *backbone_keys(settings.backbone),
        Key(f"{head}.NAME", "SemSegFPNHead", f"{own}.kind"),
        Key(f"{head}.NUM_CLASSES", num_classes, "the data set"),
        Key(f"{head}.IN_FEATURES", levels, f"{own}.finest_level"),
        Key(f"{head}.COMMON_STRIDE", _STRIDES[decoder.finest_level], f"{own}.finest_level"),
        Key(f"{head}.CONVS_DIM", decoder.channels, f"{own}.channels"),
    ]
    if settings.pointrend is None:
        return keys
    return [*keys, *_pointrend_keys(settings.pointrend, num_classes)]


def semantic_problems(settings: SemanticModelSettings) -> list[str]:
    """Return the settings of a semantic model that detectron2 does not support."""
    decoder, pointrend = settings.decoder, settings.pointrend
    if not isinstance(decoder, SemanticFPNSettings):
        with_points = " with PointRend" if pointrend else ""
        # Its DeepLab project is another training program, with other settings.
        return [f"{decoder.kind}{with_points} in its PointRend project"]
    problems = backbone_problems(settings.backbone)
    if decoder.channels < _MIN_CHANNELS:
        problems.append(f"model.decoder.channels {decoder.channels} in our groups (its GN has 32)")
    if pointrend is not None and pointrend.uncertainty != "logits":
        problems.append(f"model.pointrend.uncertainty {pointrend.uncertainty} (logits)")
    return problems


def semantic_input_keys(settings: SemanticInputSettings) -> list[Key]:
    """Translate crops and colours."""
    largest_share = 1.0 if settings.crop_bootstrapping is None else settings.crop_bootstrapping
    return [
        Key("INPUT.CROP.ENABLED", True, "input.crop_px"),
        Key("INPUT.CROP.TYPE", "absolute", "input.crop_px"),
        Key("INPUT.CROP.SIZE", list(settings.crop_px), "input.crop_px"),
        Key("INPUT.CROP.SINGLE_CATEGORY_MAX_AREA", largest_share, "input.crop_bootstrapping"),
        Key(
            "INPUT.COLOR_AUG_SSD", settings.color_augmentation == "ssd", "input.color_augmentation"
        ),
    ]


def semantic_inference_keys(
    model: SemanticModelSettings, settings: SemanticInferenceSettings
) -> list[Key]:
    """Translate how PointRend refines from the decoder's stride to the image's resolution."""
    if model.pointrend is None:
        return []
    steps = _DOUBLINGS[_semantic_fpn(model).finest_level]
    points = "MODEL.POINT_HEAD"
    return [
        Key(f"{points}.SUBDIVISION_STEPS", steps, "model.decoder.finest_level"),
        Key(
            f"{points}.SUBDIVISION_NUM_POINTS",
            settings.points_per_step,
            "inference.points_per_step",
        ),
    ]


def semantic_inference_problems(settings: SemanticInferenceSettings) -> list[str]:
    """Return the inference settings that detectron2 does not support."""
    problems = []
    if settings.output_stride is not None:
        problems.append(f"inference.output_stride {settings.output_stride}")
    if settings.test.precision == "bf16":
        problems.append("inference.test.precision bf16")
    return problems


def _pointrend_keys(settings: SemanticPointRendSettings, num_classes: int) -> list[Key]:
    points, own = "MODEL.POINT_HEAD", "model.pointrend"
    return [
        Key("MODEL.SEM_SEG_HEAD.NAME", "PointRendSemSegHead", _SEMANTIC_BASE),
        Key(f"{points}.COARSE_SEM_SEG_HEAD_NAME", "SemSegFPNHead", _SEMANTIC_BASE),
        Key(f"{points}.NUM_CLASSES", num_classes, "the data set"),
        Key(f"{points}.IN_FEATURES", ["p2"], _SEMANTIC_BASE),
        Key(f"{points}.NUM_FC", 3, _SEMANTIC_BASE),
        Key(f"{points}.FC_DIM", settings.channels, f"{own}.channels"),
        Key(f"{points}.TRAIN_NUM_POINTS", settings.train_points, f"{own}.train_points"),
        Key(f"{points}.OVERSAMPLE_RATIO", settings.oversample_ratio, f"{own}.oversample_ratio"),
        Key(
            f"{points}.IMPORTANCE_SAMPLE_RATIO",
            settings.importance_ratio,
            f"{own}.importance_ratio",
        ),
        Key(
            f"{points}.COARSE_PRED_EACH_LAYER",
            settings.coarse_in_each_layer,
            f"{own}.coarse_in_each_layer",
        ),
    ]


def _semantic_fpn(settings: SemanticModelSettings) -> SemanticFPNSettings:
    assert isinstance(settings.decoder, SemanticFPNSettings)  # `semantic_problems` comes first
    return settings.decoder
