"""Record detectron2's label maps and losses of the semantic models, for our tests to compare with.

Needs detectron2 with its projects (built from commit 02b5c4e2) beside this project's package:

    PYTHONPATH=src python benchmarks/record_detectron2_semantic.py --commit 02b5c4e295e9

The models' weights, images and labels come from `tests/modeling/semantic_cases.py`.
"""

import argparse
import importlib.metadata
import platform
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "modeling"))

from detectron2_semantic_models import (
    build_detectron2,
    copy_weights,
    losses_detectron2,
    predict_detectron2,
)
from semantic_cases import CASES, RECORDED, make_model

from pointrend_repro.base.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--commit", required=True, help="the commit of detectron2 that is installed"
    )
    parser.add_argument("names", nargs="*", default=list(CASES), metavar="case")
    arguments = parser.parse_args()
    RECORDED.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        case = CASES[name]
        theirs = build_detectron2(case)
        copy_weights(make_model(case), theirs)
        labels = predict_detectron2(theirs, case)
        losses = losses_detectron2(theirs, case)
        np.savez_compressed(case.recording, labels=labels, **losses)
        classes, counts = np.unique(labels, return_counts=True)
        print(f"{name}: {losses}, {len(classes)} classes, largest {counts.max() / labels.size:.2f}")
    versions = {
        "detectron2_commit": arguments.commit,
        "torch": torch.__version__,
        "torchvision": importlib.metadata.version("torchvision"),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    write_json(RECORDED / "versions.json", versions)


if __name__ == "__main__":
    main()
