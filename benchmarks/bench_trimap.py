"""Time `trimap_miou` against cityscapesscripts' mIoU alone, on the same label images.

Both read the same generated 1024x2048 pairs, in turns (A B A B ...) on one core, so that a slow
moment of the machine meets both. Prints JSON: seconds a pair, their ratio in each round, and the
peak memory of this process.

    python benchmarks/bench_trimap.py --pairs 10 --rounds 9
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pointrend_repro.base.provenance import cpu_name, peak_memory_mb, versions
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.data.label_images import LabelPair, find_pairs, read_label_ids
from pointrend_repro.evaluation._cityscapes_compat import pixel_level_evaluator
from pointrend_repro.evaluation.trimap import HALF_WIDTHS_PX, trimap_miou
from pointrend_repro.settings.generated import GeneratedSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10, help="pairs of label images")
    parser.add_argument("--rounds", type=int, default=9, help="times that each of the two runs")
    options = parser.parse_args()
    _use_one_core()
    with tempfile.TemporaryDirectory() as folder:
        truth, predictions = make_pairs(Path(folder), options.pairs)
        result = measure(truth, predictions, options.rounds)
    print(json.dumps(result, indent=2))


def make_pairs(folder: Path, count: int) -> tuple[Path, Path]:
    """Write generated ground truth and, as predictions, its labels read at a stride of 8 pixels.

    Blocky borders and lost poles, as a model of output stride 8 without interpolation has them.
    """
    truth, predictions = folder / "truth", folder / "predictions"
    settings = GeneratedSettings(
        train_images=0, val_images=count, width_px=2048, height_px=1024, classes=8
    )
    generate_cityscapes(truth, settings)
    predictions.mkdir()
    for path in truth.glob("gtFine/val/*/*_labelIds.png"):
        coarse = read_label_ids(path)[4::8, 4::8]
        blocks = np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)
        Image.fromarray(blocks).save(predictions / path.name)
    return truth, predictions


def measure(truth: Path, predictions: Path, rounds: int) -> dict[str, object]:
    pairs = find_pairs(truth, predictions)
    official_s, trimap_s = [], []
    for _ in range(rounds + 1):
        official_s.append(_seconds(lambda: _official_miou(pairs)) / len(pairs))
        trimap_s.append(_seconds(lambda: trimap_miou(truth, predictions)) / len(pairs))
    del official_s[0], trimap_s[0]  # they also import, and warm the caches
    ratios = [ours / theirs for ours, theirs in zip(trimap_s, official_s, strict=True)]
    return {
        "pairs": len(pairs),
        "rounds": rounds,
        "half_widths_px": HALF_WIDTHS_PX,
        "official_miou_s_a_pair": _summary(official_s),
        "trimap_miou_s_a_pair": _summary(trimap_s),
        "ratio": _summary(ratios),
        "compiled_official": pixel_level_evaluator()[0].CSUPPORT,
        "peak_memory_mb": peak_memory_mb(),
        "machine": cpu_name(),
        "cores_used": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "versions": versions(),
    }


def _official_miou(pairs: list[LabelPair]) -> None:
    evaluator, settings = pixel_level_evaluator()
    evaluator.evaluateImgLists(
        [str(pair.prediction) for pair in pairs], [str(pair.truth) for pair in pairs], settings
    )


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "lowest": round(min(values), 4),
        "highest": round(max(values), 4),
    }


def _use_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


if __name__ == "__main__":
    main()
