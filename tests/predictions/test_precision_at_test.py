"""`test: {precision: bf16}`: every kind of model predicts nearly the same, as float32 numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinds_of_models import draw_few, kinds
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.config.papers import list_papers
from pointrend_repro.config.reading import with_test
from pointrend_repro.data.images import read_image
from pointrend_repro.declarations.family import family_of
from pointrend_repro.engines.detectron2.detector_keys import detector_inference_problems
from pointrend_repro.engines.detectron2.semantic_keys import semantic_inference_problems
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.predictions.mask_proposals import propose
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings
from pointrend_repro.tools.export.choosing import Asked
from pointrend_repro.tools.export.writing import export_model
from small_experiment import small_settings

GRID = load_grid("smoke", papers=list_papers())
KINDS = list(kinds(GRID))


@pytest.fixture(scope="module")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return draw_few(GRID, tmp_path_factory.mktemp("few"))


def untrained(dataset: str, variant: str, paths: Any) -> tuple[SavedModel, Path]:
    settings = GRID.training_settings(dataset, variant)
    family = family_of(settings)
    data = family.function(family.read)(paths, "train")
    torch.manual_seed(0)
    model = build_model(settings.model, len(data.categories)).eval()
    categories = [(c.id, c.name) for c in data.categories]
    keypoints = getattr(data, "keypoints", None)
    return SavedModel(model, settings.input, categories, keypoints), data.images[0].path


def found(saved: SavedModel, image: Any, **test: Any) -> dict[str, Any]:
    settings = with_test(default_inference(saved), test, where="test")
    family = family_of(settings)
    return vars(family.function(family.predict_image)(saved, image, settings))


@pytest.mark.parametrize(("dataset", "variant"), KINDS)
def test_bf16_predicts_nearly_the_same(
    few_images: dict[str, Any], dataset: str, variant: str
) -> None:
    if getattr(GRID.training_settings(dataset, variant).model, "given_proposals", False):
        pytest.skip("is given boxes, which predict_image does not take")
    saved, file = untrained(dataset, variant, few_images[dataset])
    convolved: set[torch.dtype] = set()
    for layer in saved.model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda _, __, out: convolved.add(out.dtype))
    image = read_image(file)
    # Of an untrained RPN's proposals, the first hundred depend on the last bits.
    many = {"rpn_post_nms": 1000} if hasattr(saved.model.settings, "detector") else {}
    plain = found(saved, image, **many)
    assert convolved == {torch.float32}
    in_bf16 = found(saved, image, precision="bf16", **many)
    assert torch.bfloat16 in convolved
    for name, array in plain.items():
        if isinstance(array, np.ndarray):
            assert in_bf16[name].dtype == array.dtype, name
    if "scores" not in plain:
        assert np.mean(in_bf16["labels"] == plain["labels"]) > 0.9
    else:
        # bfloat16 has eight bits, so equal scores of an untrained model change places.
        some = min(len(plain["scores"]), len(in_bf16["scores"]), 5)
        np.testing.assert_allclose(in_bf16["scores"][:some], plain["scores"][:some], atol=0.02)
    again = found(saved, image, precision="fp32", **many)
    for name, array in plain.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


def test_the_rest_of_a_program_stays_in_float32(few_images: dict[str, Any]) -> None:
    """Proposals come one by one; what is computed between them is not the model's."""
    dataset, variant = next(k for k in KINDS if GRID.training_settings(*k).family == "deepmask")
    saved, file = untrained(dataset, variant, few_images[dataset])
    settings = with_test(default_inference(saved), {"precision": "bf16"}, where="test")
    for _ in propose(saved, read_image(file), settings):
        assert not torch.is_autocast_enabled("cpu")


def test_who_cannot_do_it_says_so(tmp_path: Path) -> None:
    asked = {"test": {"precision": "bf16"}}
    detector = InferenceSettings.model_validate(asked)
    told = ["inference.test.precision bf16"]
    assert detector_inference_problems(small_settings().model.mask_head, detector) == told
    assert semantic_inference_problems(SemanticInferenceSettings.model_validate(asked)) == told
    model = build_model(small_settings().model, 2)
    save_model(tmp_path / "m.safetensors", SavedModel(model, InputSettings(), [(1, "a"), (2, "b")]))
    with pytest.raises(UserError, match="written in fp32"):
        export_model(
            str(tmp_path / "m.safetensors"),
            None,
            "torchscript",
            tmp_path / "out",
            Asked(test={"precision": "bf16"}),
        )


@pytest.mark.parametrize("count", [30, 784])
def test_masks_are_float32_however_many_points_a_step_has(count: int) -> None:
    """With few, no step predicts a whole grid: all begin with the coarse mask, which is in bf16."""
    torch.manual_seed(0)
    settings = GRID.training_settings("generated_coco", "pointrend_r50_fpn")
    model = build_model(settings.model, 3).eval()
    boxes = [torch.tensor([[4.0, 8.0, 60.0, 70.0], [20.0, 10.0, 90.0, 64.0]])]
    labels = [torch.tensor([0, 2])]
    asked = InferenceSettings(output_resolution=28, points_per_step=count)
    found = []
    with torch.no_grad():
        for precision in (None, "bf16"):
            with computing_in(precision, torch.device("cpu")):
                features = model.backbone([torch.full((3, 96, 128), 90.0)])
                found.append(model.mask_head.predict(features, boxes, labels, asked))
    assert [masks.dtype for masks in found] == [torch.float32] * 2
    torch.testing.assert_close(found[1], found[0], atol=0.05, rtol=0.05)
