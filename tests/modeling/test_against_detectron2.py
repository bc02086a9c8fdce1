"""Our instance models find what detectron2 finds with the same weights on the same image.

Most tests compare with recorded outputs (`record_detectron2.py`) and run everywhere; those marked
`needs_detectron2` run detectron2 itself.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2_cases import CASES, RECORDED, Case, make_image, make_model, make_target
from detectron2_cases import seeded_sampling as sampled

from pointrend_repro.checkpoints.loading import load_known_model, save_detectron2
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.examples import inference_image
from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.predictions.instances import Instances, predict_image

MAX_BOX_PX = 0.05
MAX_SCORE = 1e-4
MAX_MASK_SHARE = 0.0005
MAX_LOSS_RELATIVE = 1e-4

# Our name of a loss -> detectron2's.
LOSSES = {
    "loss_rpn_objectness": "loss_rpn_cls",
    "loss_rpn_box": "loss_rpn_loc",
    "loss_cls": "loss_cls",
    "loss_box": "loss_box_reg",
    "loss_mask": "loss_mask",
    "loss_mask_point": "loss_mask_point",
}

needs_detectron2 = [
    pytest.mark.needs_detectron2,
    pytest.mark.skipif(
        importlib.util.find_spec("detectron2") is None, reason="detectron2 is not installed"
    ),
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            name, marks=[] if "_r50_" in name and "_dc5_" not in name else pytest.mark.slow
        )
        for name in CASES
    ],
)
def compared(request) -> tuple[Case, MaskRCNN, dict[str, np.ndarray]]:
    """A case, our model, and what detectron2 found."""
    case = CASES[request.param]
    return case, make_model(case), _recorded(case)


def _predict(model: MaskRCNN, case: Case) -> Instances:
    saved = SavedModel(model, case.input, case.known.categories)
    return predict_image(saved, make_image(case), case.known.inference)


def _train(model: MaskRCNN, case: Case, rois: dict[str, np.ndarray]) -> dict[str, float]:
    """Losses of one training step on the RoIs that detectron2 has drawn.

    Ours are the same but for proposals whose scores differ by less than rounding does.
    """
    image = inference_image(make_image(case), case.input)
    target = make_target(case, *image.shape[1:])
    theirs = Proposals(
        torch.from_numpy(rois["roi_boxes"]),
        torch.from_numpy(rois["roi_labels"].astype(np.int64)),
        torch.from_numpy(rois["roi_matched"]),
    )

    def sample(proposals: list[torch.Tensor], targets: list[Target]) -> list[Proposals]:
        (ours,) = type(model.box_head).sample(model.box_head, proposals, targets)
        same = (ours.boxes - theirs.boxes).abs().amax(dim=1) < MAX_BOX_PX
        assert same.float().mean() > 0.98
        assert torch.equal(ours.labels[same], theirs.labels[same])
        return [theirs]

    with sampled(case.seed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.box_head, "sample", sample)
        losses = model.train()([image], [target])
    model.eval()
    return {LOSSES[name]: loss.item() for name, loss in losses.items()}


def _assert_same_objects(ours: Instances, theirs: dict[str, np.ndarray]) -> None:
    assert len(ours.scores) == len(theirs["scores"])
    np.testing.assert_array_equal(ours.labels, theirs["labels"])
    np.testing.assert_allclose(ours.boxes, theirs["boxes"], rtol=0, atol=MAX_BOX_PX)
    np.testing.assert_allclose(ours.scores, theirs["scores"], rtol=0, atol=MAX_SCORE)
    sides = theirs["boxes"][:, 2:] - theirs["boxes"][:, :2]
    differing = np.count_nonzero(ours.masks != theirs["masks"])
    assert differing < MAX_MASK_SHARE * sides.prod(axis=1).sum()


def _recorded(case: Case) -> dict[str, np.ndarray]:
    stored = dict(np.load(case.recording))
    shape = tuple(stored["mask_shape"])
    bits = np.unpackbits(stored["masks"], count=int(np.prod(shape)))
    return stored | {"masks": bits.reshape(shape).astype(bool)}


def test_objects_are_detectron2s(compared):
    case, model, recorded = compared
    assert recorded["masks"].any(axis=(1, 2)).mean() > 0.5  # the comparison is about something
    _assert_same_objects(_predict(model, case), recorded)


def test_losses_are_detectron2s(compared):
    case, model, recorded = compared
    wanted = {key: float(v) for key, v in recorded.items() if key.startswith("loss_")}
    assert _train(model, case, recorded) == pytest.approx(wanted, rel=MAX_LOSS_RELATIVE)


def test_a_changed_weight_is_noticed():
    case = CASES["mask_rcnn_r50_fpn_coco"]
    model = make_model(case)
    with torch.no_grad():
        model.rpn.anchor_deltas.bias += 0.05
    with pytest.raises(AssertionError):
        _assert_same_objects(_predict(model, case), _recorded(case))


def test_recordings_say_where_they_come_from():
    origin = json.loads((RECORDED / "recorded.json").read_text())
    assert len(origin["detectron2_commit"]) == 40
    assert {"torch", "torchvision", "numpy", "detectron2"} <= set(origin)
    assert sum(path.stat().st_size for path in RECORDED.iterdir()) < 400e3


class TestLive:
    pytestmark = needs_detectron2

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["pointrend_r50_fpn_cityscapes", "mask_rcnn_r50_fpn_coco"])
    def test_our_pickle_gives_detectron2_our_model(self, name, tmp_path: Path):
        from detectron2_models import build_detectron2, load_file, predict_detectron2

        case = Case(name, seed=1)
        model = make_model(case)
        path = tmp_path / "model.pkl"
        save_detectron2(path, SavedModel(model, case.input, case.known.categories))
        theirs = build_detectron2(case)
        load_file(theirs, path)
        _assert_same_objects(_predict(model, case), predict_detectron2(theirs, case))

    @pytest.mark.slow
    def test_its_checkpoint_gives_us_its_model(self, tmp_path: Path):
        from detectron2.checkpoint import DetectionCheckpointer
        from detectron2_models import build_detectron2, copy_weights, train_detectron2

        case = Case("pointrend_r50_fpn_coco", seed=2)
        theirs = build_detectron2(case)
        copy_weights(make_model(case), theirs)
        DetectionCheckpointer(theirs, str(tmp_path)).save("model")
        ours = load_known_model(case.name, tmp_path / "model.pth").model
        losses, rois = train_detectron2(theirs, case)
        assert _train(ours, case, rois) == pytest.approx(losses, rel=MAX_LOSS_RELATIVE)
