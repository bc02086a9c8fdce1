"""A whole image: 800x1216, up to 100 detections, R50-FPN, from pixels to masks of the image.

PointRend at 224x224 with 28x28 points a step, and the 4x conv head beside it, each with the
weights of detectron2's model, and of torchvision's, which has that head only. The masks of two
heads, and torchvision's boxes, which it pools otherwise, are not compared.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.torchvision_model import torchvision_input, torchvision_mask_rcnn
from benchmarks.whole_models import Scene, detectron2_inputs, detectron2_model
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.predictions.instances import Instances, predict_image
from pointrend_repro.tools.bench.case import Case, Size

POINTREND, CONV4 = "pointrend_r50_fpn_coco", "mask_rcnn_r50_fpn_coco"
MAX_DIFFERING_SHARE = 0.0005
_SIZES = {"full": (800, 1216), "tiny": (96, 128)}


def make(size: Size, device: str) -> Case:
    scene = Scene(*_SIZES[size])
    return Case(
        settings={"height": scene.height, "width": scene.width, "dtype": "float32"},
        sides={
            "ours": lambda: ours(scene, POINTREND, device),
            "detectron2": lambda: detectron2(scene, POINTREND, device),
            "ours, 4x conv": lambda: ours(scene, CONV4, device),
            "detectron2, 4x conv": lambda: detectron2(scene, CONV4, device),
            "torchvision, 4x conv": lambda: torchvision(scene, device),
        },
        compare=compare,
    )


def ours(scene: Scene, model: str, device: str) -> Callable[[], tuple[str, Instances]]:
    case = scene.case(model)
    saved = SavedModel(scene.model(model).to(device), case.input, list(case.known.categories))
    (image,) = (i.permute(1, 2, 0).numpy() for i in scene.images(model))
    return lambda: (model, predict_image(saved, image, case.known.inference))


def detectron2(scene: Scene, model: str, device: str) -> Callable[[], tuple[str, Instances]]:
    theirs = detectron2_model(scene, model).to(device)
    inputs = detectron2_inputs(scene, model)

    @torch.no_grad()
    def run() -> tuple[str, Instances]:
        found = theirs(inputs)[0]["instances"].to("cpu")
        fields = (found.pred_boxes.tensor, found.scores, found.pred_classes, found.pred_masks)
        return model, Instances(*(field.numpy() for field in fields))

    return run


def torchvision(scene: Scene, device: str) -> Callable[[], tuple[str, Instances]]:
    theirs = torchvision_mask_rcnn(scene.model(CONV4), scene.height, scene.width).to(device)
    (image,) = (i.to(device) for i in scene.images(CONV4))

    @torch.no_grad()
    def run() -> tuple[str, Instances]:
        found = {name: field.cpu() for name, field in theirs(torchvision_input(image))[0].items()}
        boxes, scores, labels = (found[name].numpy() for name in ("boxes", "scores", "labels"))
        return CONV4, Instances(boxes, scores, labels, (found["masks"] >= 0.5).squeeze(1).numpy())

    return run


def compare(ours: tuple[str, Instances], theirs: tuple[str, Instances]) -> dict[str, float]:
    counts = {"our_detections": len(ours[1].scores), "detections": len(theirs[1].scores)}
    if ours[0] != theirs[0]:
        return counts
    assert counts["our_detections"] == counts["detections"]
    partner = partners(ours[1], theirs[1])
    np.testing.assert_allclose(ours[1].boxes, theirs[1].boxes[partner], atol=0.1)
    differing = (ours[1].masks != theirs[1].masks[partner]).sum() / theirs[1].masks.sum()
    assert differing < MAX_DIFFERING_SHARE, f"{differing:.4%} of the masks' pixels differ"
    return counts | {"differing_share_of_mask_pixels": float(differing)}


def partners(ours: Instances, theirs: Instances) -> NDArray[np.int64]:
    """Return the number of each object among theirs: equal scores come in any order."""
    distance = np.abs(ours.boxes[:, None] - theirs.boxes).sum(axis=2)
    distance[ours.labels[:, None] != theirs.labels] = np.inf
    partner: NDArray[np.int64] = distance.argmin(axis=1)
    assert len(set(partner.tolist())) == len(partner), "two objects have one partner"
    return partner
