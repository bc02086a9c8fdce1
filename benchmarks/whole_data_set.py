"""A data set from its image files to COCO results on disk, beside detectron2 and torchvision.

    python -m benchmarks.whole_data_set FOLDER --output FILE

FOLDER has COCO's layout. Its first 60 images are predicted on a CPU by every side in turn, after a
few that are not timed, each with the weights of `whole_models.py`, which find up to 100 objects an
image: in detectron2 by `inference_on_dataset` and what its COCOEvaluator encodes, in torchvision by
the loop and the encoding of its reference scripts. Both get a process that loads images, beside two
threads; ours either two threads, or one and a worker.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader

from benchmarks.peers import importing_detectron2
from benchmarks.torchvision_model import torchvision_input, torchvision_mask_rcnn
from benchmarks.whole_models import Scene, detectron2_model
from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import cpu_name, git_commit, versions
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import Category, CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.examples import read_record
from pointrend_repro.predictions.in_parts import Work
from pointrend_repro.predictions.instances import write_results
from pointrend_repro.tools.bench.case import NotInstalled

POINTREND, CONV4 = "pointrend_r50_fpn_coco", "mask_rcnn_r50_fpn_coco"
SCENE = Scene(800, 1216)
LONGEST_PX = 1333

# Low, so that untrained weights find nearly as many objects as are kept, 100.
SCORE_THRESHOLD = 0.01

# With which each side starts: a process's first images take longer, whoever predicts them.
WARMING_UP = 4

Predict = Callable[[list[ImageRecord], Path], dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with train2017/, val2017/ and annotations/")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    records = first_images(options.folder, options.images)
    rows = measure(records, options.rounds, options.threads)
    print(rows_of({"rows": rows}))
    if options.output:
        write_json(
            options.output,
            {"images": len(records), "threads": options.threads, "rows": rows}
            | {"cpu": cpu_name(), "cores": os.cpu_count(), "git_commit": git_commit()}
            | {"versions": versions()},
        )


def rows_of(record: dict[str, Any]) -> str:
    """Return what was measured as Markdown."""
    lines = [
        "| side | images a second | time, ours = 1 | CPU time, ours = 1 | model waits | objects |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in record["rows"]:
        waits = "" if row["waited"] is None else f"{100 * row['waited']:.1f} %"
        times = f"{row['time']:.2f} | {row['cpu_time']:.2f}"
        lines.append(
            f"| {row['side']} | {row['images_per_s']:.2f} | {times} | {waits} | {row['objects']} |"
        )
    return "\n".join(lines)


def first_images(folder: Path, count: int) -> list[ImageRecord]:
    """Return records of a data set in COCO's layout, of both splits."""
    read = [
        read_coco(folder / f"{split}2017", folder / f"annotations/instances_{split}2017.json")
        for split in ("train", "val")
    ]
    return [record for dataset in read for record in dataset.images][:count]


def measure(records: list[ImageRecord], rounds: int, threads: int) -> list[dict[str, Any]]:
    """Let all sides predict in turn, and compare them."""
    sides = {
        "ours": ours(POINTREND, threads, workers=0),
        "ours, a thread less, a worker": ours(POINTREND, threads - 1, workers=1),
        "detectron2": detectron2(POINTREND, threads),
        "ours, 4x conv": ours(CONV4, threads, workers=0),
        "detectron2, 4x conv": detectron2(CONV4, threads),
        "torchvision, 4x conv": torchvision(threads),
    }
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for side, predict in sides.items():
                path = Path(folder) / f"{number} {side}.json"
                try:
                    predict(records[:WARMING_UP], path.with_suffix(".first.json"))
                    run = timed(partial(predict, records, path), path)
                except NotInstalled as missing:
                    print(f"{side}: left out, since {missing} is not installed")
                    continue
                runs[side].append(run)
                print(number, side, json.dumps(run), flush=True)
    return list(compared(runs, len(records)))


def compared(runs: dict[str, list[dict[str, float]]], images: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each side: medians over rounds of its ratio to ours in the same round."""
    for side, own in runs.items():
        if not own:
            continue
        base = runs["ours, 4x conv" if "4x conv" in side else "ours"]
        pairs = list(zip(own, base, strict=True))
        yield {
            "side": side,
            "images_per_s": images / median(run["wall_s"] for run in own),
            "time": median(run["wall_s"] / of_base["wall_s"] for run, of_base in pairs),
            "cpu_time": median(run["cpu_s"] / of_base["cpu_s"] for run, of_base in pairs),
            "waited": median(r["waited"] for r in own) if "waited" in own[0] else None,
            "objects": own[0]["objects"],
            "runs": own,
        }


def timed(predict: Callable[[], dict[str, float]], path: Path) -> dict[str, float]:
    """Return the time that a side takes, and the CPU time, that of its processes included."""
    start, before = time.perf_counter(), os.times()
    told = predict()
    wall, after = time.perf_counter() - start, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    objects = len(json.loads(path.read_text()))
    return {"wall_s": wall, "cpu_s": cpu, "load": os.getloadavg()[0], "objects": objects} | told


def ours(model: str, threads: int, *, workers: int) -> Predict:
    case = SCENE.case(model)
    categories = list(case.known.categories)
    saved = SavedModel(SCENE.model(model), case.input, categories)
    test = case.known.inference.test.model_copy(update={"score_threshold": SCORE_THRESHOLD})
    settings = case.known.inference.model_copy(update={"test": test})

    def predict(records: list[ImageRecord], path: Path) -> dict[str, float]:
        dataset = CocoDataset(tuple(Category(*each) for each in categories), tuple(records))
        torch.set_num_threads(max(1, threads))
        work = Work(workers=workers)
        write_results(saved, dataset, settings, path, work=work)
        return {"waited": work.timing.waited}

    return predict


def detectron2(model: str, threads: int) -> Predict:
    def predict(records: list[ImageRecord], path: Path) -> dict[str, float]:
        with importing_detectron2():
            from detectron2.data import DatasetMapper, build_detection_test_loader
            from detectron2.data.transforms import ResizeShortestEdge
            from detectron2.evaluation import DatasetEvaluator, inference_on_dataset
            from detectron2.evaluation.coco_evaluation import instances_to_coco_json

        class Encoding(DatasetEvaluator):  # type: ignore[misc, no-any-unimported]
            """What COCOEvaluator does of each image, and its file."""

            def reset(self) -> None:
                self.results: list[Any] = []

            def process(self, inputs: Any, outputs: Any) -> None:
                for each, output in zip(inputs, outputs, strict=True):
                    found = output["instances"].to("cpu")
                    self.results += instances_to_coco_json(found, each["image_id"])

            def evaluate(self) -> None:
                path.write_text(json.dumps(self.results))

        torch.set_num_threads(threads)
        resize = ResizeShortestEdge([SCENE.height, SCENE.height], LONGEST_PX)
        loader = build_detection_test_loader(
            [
                {"file_name": str(r.path), "image_id": r.id, "height": r.height, "width": r.width}
                for r in records
            ],
            mapper=DatasetMapper(is_train=False, augmentations=[resize], image_format="BGR"),
            num_workers=1,
        )
        inference_on_dataset(theirs(), loader, Encoding())
        return {}

    made: list[torch.nn.Module] = []

    def theirs() -> torch.nn.Module:
        if not made:
            made.append(detectron2_model(SCENE, model))
            made[0].roi_heads.box_predictor.test_score_thresh = SCORE_THRESHOLD
        return made[0]

    return predict


def torchvision(threads: int) -> Predict:
    theirs = torchvision_mask_rcnn(SCENE.model(CONV4), SCENE.height, LONGEST_PX)
    theirs.roi_heads.score_thresh = SCORE_THRESHOLD

    @torch.no_grad()
    def predict(records: list[ImageRecord], path: Path) -> dict[str, float]:
        torch.set_num_threads(threads)
        results: list[dict[str, Any]] = []
        images = DataLoader(records, batch_size=None, num_workers=1, collate_fn=_read)  # type: ignore[arg-type]
        for record, image in zip(records, images, strict=True):
            (found,) = theirs(image)
            masks = found["masks"] > 0.5
            rles = [
                coco_mask.encode(np.array(mask[0, :, :, None], dtype=np.uint8, order="F"))[0]
                for mask in masks.numpy()
            ]
            parts = (found[key].tolist() for key in ("boxes", "scores", "labels"))
            for rle, box, score, label in zip(rles, *parts, strict=True):
                rle["counts"] = rle["counts"].decode()
                entry = {"image_id": record.id, "category_id": label, "score": score}
                results.append(entry | {"bbox": box, "segmentation": rle})
        path.write_text(json.dumps(results))
        return {}

    return predict


def _read(record: ImageRecord) -> list[torch.Tensor]:
    return torchvision_input(torch.from_numpy(read_record(record)).permute(2, 0, 1))


if __name__ == "__main__":
    main()
