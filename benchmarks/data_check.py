"""What `data check` takes for many annotations: CPU time and peak memory, in processes of its own.

    python -m benchmarks.data_check 300000 [--before FOLDER] --output FILE

The annotations are outlines of 26 points. `folder` is `data check FOLDER`, `name` is the check of
a data set by its name, as the pipeline does it. With `--before`, a folder with another version's
`src`, both versions check the same files in turn, and their findings must be equal.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import cpu_name, git_commit, versions

HERE = Path(__file__).resolve().parents[1]
SIDE, POINTS, CLASSES = 640, 26, 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=int)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    sources = {"before": options.before} if options.before else {}
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_folder(root / "data", options.annotations, options.images)
        for how, command in commands(root).items():
            for version, source in ({"now": HERE / "src"} | sources).items():
                rows.append({"check": how, "version": version} | measured(command, source))
                print(rows[-1], file=sys.stderr, flush=True)
                found.setdefault(how, []).append((root / "found.json").read_text())
            assert len(set(found[how])) == 1, f"findings differ: {how}"
            if options.output:
                about = {"annotations": options.annotations, "images": options.images}
                machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "git_commit": git_commit()}
                write_json(
                    options.output, about | {"rows": rows} | machine | {"versions": versions()}
                )


def commands(root: Path) -> dict[str, list[str]]:
    """The two ways to check the folder `root / "data"`; both write `root / "found.json"`."""
    output = ["--output", str(root / "found.json")]
    config = root / "config"
    subprocess.run(["cp", "-r", str(HERE / "config"), str(config)], check=True)
    dataset = yaml.safe_load((config / "datasets/coco.yaml").read_text())
    dataset = {key: dataset[key] for key in ("title", "layout") if key in dataset} | {
        "root": str(root / "data"),
        "num_classes": CLASSES,
        **{f"{s}_images": s for s in ("train", "val")},
        **{f"{s}_annotations": f"{s}.json" for s in ("train", "val")},
    }
    (config / "datasets/many.yaml").write_text(yaml.safe_dump(dataset))
    by_name = ["--dataset", "many", "--config-dir", str(config)]
    return {
        "folder": ["data", "check", str(root / "data"), "--sample", "1", *output],
        "name": ["data", "check", *by_name, *output],
    }


def measured(command: list[str], source: Path) -> dict[str, Any]:
    """Run a command with one version's code and return what it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *command],
        env=os.environ | {"PYTHONPATH": str(source)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return {"cpu_seconds": round(cpu, 1), **json.loads(done.stdout.splitlines()[-1])}


_MEASURED = r"""
import json, re, sys
from pointrend_repro.cli import main
try:
    code = main()
except SystemExit as end:
    code = end.code
# Of this program alone: ru_maxrss begins with what the process that started it had.
kilobytes = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
print()
print(json.dumps({"exit": code or 0, "peak_mb": round(kilobytes * 1024 / 1e6)}))
"""


def write_folder(root: Path, annotations: int, images: int) -> None:
    """Write a folder in COCO's layout whose training split has so many annotations."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    picture = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(picture, "png")
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for split, count, files in (("train", annotations, images), ("val", annotations // 30, 20)):
        (root / split).mkdir(parents=True)
        listed = []
        for number in range(1, files + 1):
            (root / split / f"{number:06}.png").write_bytes(picture.getvalue())
            listed.append(
                {"id": number, "file_name": f"{number:06}.png", "width": SIDE, "height": SIDE}
            )
        content = {
            "info": {},
            "images": listed,
            "annotations": [_annotation(rng, circle, n, n % files + 1) for n in range(count)],
            "categories": [{"id": n + 1, "name": f"class {n}"} for n in range(CLASSES)],
        }
        (root / f"{split}.json").write_text(json.dumps(content))


def _annotation(rng: np.random.Generator, circle: Any, number: int, image: int) -> dict[str, Any]:
    low, radii = rng.uniform(0, SIDE - 120, 2), rng.uniform(6, 60, 2)
    points = (low + radii * (1 + circle * rng.uniform(0.8, 1, (POINTS, 1)))).round(2)
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    x, y = points.T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    return {
        "id": number + 1,
        "image_id": image,
        "category_id": int(rng.integers(CLASSES)) + 1,
        "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
        "area": round(float(area), 2),
        "iscrowd": 0,
        "segmentation": [points.ravel().tolist()],
    }


if __name__ == "__main__":
    main()
