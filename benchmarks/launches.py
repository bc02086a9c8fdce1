"""How many kernels an image asks a GPU for, and how often the host waits, beside detectron2.

    python -m benchmarks.launches --output FILE

No GPU is needed: tensors say that they are on one (`tests/pretend_gpu.py`). PointRend with R50-FPN,
the same weights in both, which find 100 objects; an operation of PyTorch counts as one kernel.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.whole_models import Scene, detectron2_inputs, detectron2_model
from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import git_commit, versions
from pointrend_repro.tools.bench.case import NotInstalled

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from pretend_gpu import GPU, counted, pretended_gpu

MODEL = "pointrend_r50_fpn_coco"

# Neither count depends on the size: all boxes are of one image.
SCENE = Scene(192, 256)

Counted = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    sides = {"ours": ours()}
    try:
        sides["detectron2"] = detectron2()
    except NotInstalled as missing:
        print(f"left out: {missing} is not installed")
    for side, parts in sides.items():
        for part, found in parts.items():
            print(f"{side:12} {part:6} {found['kernels']:5} kernels, waits: {found['waits'] or 0}")
    if options.output:
        record = {"model": MODEL, "sides": sides, "git_commit": git_commit()}
        write_json(options.output, record | {"versions": versions()})


def ours() -> Counted:
    """Count what our model asks for: the trunk with its pyramid, the masks, and a whole image."""
    model, settings = SCENE.model(MODEL).eval(), SCENE.case(MODEL).known.inference
    (image,) = SCENE.images(MODEL)
    with pretended_gpu(), torch.no_grad():
        model.to(GPU)
        images = [image.to(GPU)]
        features = model.backbone(images)  # folds norms into the weights, once
        (found,) = model.detect(images, settings, None)
        return counts(
            trunk=lambda: model.backbone(images),
            masks=lambda: model.mask_head.predict(
                features, [found.boxes], [found.labels], settings
            ),
            image=lambda: model.detect(images, settings, None),
        )


def detectron2() -> Counted:
    """Count what detectron2's asks for.

    Raises:
        NotInstalled: there is no detectron2.
    """
    model = detectron2_model(SCENE, MODEL).eval()
    inputs = detectron2_inputs(SCENE, MODEL)
    # What pretends to be on a GPU cannot change its shape in place.
    in_place = patch.object(torch.Tensor, "unsqueeze_", torch.Tensor.unsqueeze)
    with in_place, pretended_gpu(), torch.no_grad():
        model.to(GPU)
        batch = model.preprocess_image(inputs).tensor
        features = model.backbone(batch)
        found = model.inference(inputs, do_postprocess=False)
        return counts(
            trunk=lambda: model.backbone(batch),
            masks=lambda: model.roi_heads._forward_mask(features, found),
            image=lambda: model.inference(inputs, do_postprocess=False),
        )


def counts(**parts: Callable[[], Any]) -> Counted:
    found = {}
    for name, run in parts.items():
        with counted() as asked:
            run()
        found[name] = {"kernels": asked.kernels.total(), "waits": dict(asked.waits)}
    return found


if __name__ == "__main__":
    main()
