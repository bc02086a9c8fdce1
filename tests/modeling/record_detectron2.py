"""Records what detectron2 finds in the cases of `detectron2_cases.py`.

    python tests/modeling/record_detectron2.py COMMIT [NAME ...]

COMMIT is the commit that detectron2 was built from; it needs its project PointRend
(`detectron2.projects.point_rend`). Writes tests/recorded/detectron2/<name>.npz (boxes, scores,
labels, and bit-packed masks or keypoints; RoIs and losses of a training step), and the versions and
the commit to recorded.json. Inputs and weights are not stored: they are made from seeds.
"""

import json
import platform
import sys

import detectron2
import numpy as np
import PIL
import torch
import torchvision
from detectron2_cases import CASES, KEYPOINT_CASE, RECORDED, Case, make_model
from detectron2_models import (
    build_detectron2,
    copy_weights,
    predict_detectron2,
    train_detectron2,
)


def main() -> None:
    torch.set_num_threads(1)
    RECORDED.mkdir(parents=True, exist_ok=True)
    cases = CASES | {KEYPOINT_CASE.name: KEYPOINT_CASE}
    for name in sys.argv[2:] or cases:
        record(cases[name])
    origin = {
        "detectron2_commit": sys.argv[1],
        "detectron2": detectron2.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    (RECORDED / "recorded.json").write_text(json.dumps(origin, indent=2) + "\n")


def record(case: Case) -> None:
    theirs = build_detectron2(case)
    copy_weights(make_model(case), theirs)
    found = predict_detectron2(theirs, case)
    # Neither too few objects to compare, nor one so near the threshold that rounding decides.
    assert 20 <= len(found["scores"]) < 100, len(found["scores"])
    assert found["scores"].min() > 0.0503, found["scores"].min()
    losses, rois = train_detectron2(theirs, case)
    np.savez_compressed(
        case.recording,
        boxes=found["boxes"],
        scores=found["scores"],
        labels=found["labels"].astype(np.uint8),
        **_masks_or_keypoints(found),
        **rois | {"roi_labels": rois["roi_labels"].astype(np.uint8)},
        **{f"loss_{name.removeprefix('loss_')}": value for name, value in losses.items()},
    )
    size_kb = case.recording.stat().st_size / 1e3
    print(f"{case.name}: {len(found['scores'])} objects, {size_kb:.0f} kB, {losses}")


def _masks_or_keypoints(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if "keypoints" in found:
        return {"keypoints": found["keypoints"]}
    return {"masks": np.packbits(found["masks"]), "mask_shape": found["masks"].shape}


if __name__ == "__main__":
    main()
