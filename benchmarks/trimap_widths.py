"""How much more mIoU one semantic model has than another, in trimaps of several widths.

The paper's trimaps are 8 and 20 px on each side of a border of streets of 1024x2048. On streets of
another size the same share of the image is another number of pixels; docs/evidence/why.md has what
that makes of preset mini's.

    python -m benchmarks.trimap_widths data/mini_cityscapes \
        --without results/mini/mini_cityscapes/deeplabv3_r103/trial?/os16/labels \
        --with results/mini/mini_cityscapes/deeplabv3_pointrend_r103/trial?/default/labels \
        --json out.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.data.label_images import CLASS_NAMES, read_label_ids
from pointrend_repro.data.semantic import LabelledImage, read_labelled_images
from pointrend_repro.evaluation.mean_iou import mean_iou
from pointrend_repro.evaluation.trimap import trimap_confusion

HALF_WIDTHS_PX = (2, 5, 8, 20)  # of 256x512 streets: the paper's two, scaled and as they are


def confusions(folder: Path, images: tuple[LabelledImage, ...]) -> NDArray[np.int64]:
    """The confusion of each trimap and, last, of all pixels; rows are the true labels."""
    return np.sum(
        [
            trimap_confusion(
                read_label_ids(image.labels),
                read_label_ids(folder / f"{image.id}_pred_labelIds.png"),
                HALF_WIDTHS_PX,
            )
            for image in images
        ],
        axis=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("root", type=Path, help="a folder in Cityscapes' layout, whose val is read")
    parser.add_argument("--without", type=Path, nargs="+", required=True, help="by trial")
    parser.add_argument("--with", type=Path, nargs="+", required=True, dest="others")
    parser.add_argument("--json", type=Path, help="a file to write")
    asked = parser.parse_args()
    images = read_labelled_images(asked.root, "val").images
    names = [*(f"{width} px" for width in HALF_WIDTHS_PX), "all pixels"]
    trials = []
    for folders in zip(asked.without, asked.others, strict=True):
        first, second = (confusions(folder, images) for folder in folders)
        pairs = zip(first, second, strict=True)
        gains = [(mean_iou(better) or 0) - (mean_iou(plain) or 0) for plain, better in pairs]
        trials.append(dict(zip(names, np.round(gains, 2).tolist(), strict=True)))
        pixels = first[:, list(CLASS_NAMES)].sum(axis=(1, 2))
        print(folders[1], trials[-1])
    shares = dict(zip(names, np.round(pixels / pixels[-1], 3).tolist(), strict=True))
    found = {"images": len(images), "share_of_pixels": shares, "gain_in_miou_by_trial": trials}
    print(json.dumps(found, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
