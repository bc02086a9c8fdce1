"""Semantic models with the same weights as detectron2's: its label maps, and its losses.

The recordings are made by `benchmarks/record_detectron2_semantic.py`; `versions.json` beside them
names the commit of detectron2.
"""

import numpy as np
import pytest
import torch
from semantic_cases import CASES, make_images, make_labels, make_model, seeded_points

# Of equally uncertain points rounding decides which one is predicted anew, and its neighbours see
# it in the next step.
MAX_DIFFERING = 0.001
LOSS_TOLERANCE = 1e-4


@pytest.mark.parametrize("name", CASES)
def test_label_maps_and_losses_are_detectron2s(name: str) -> None:
    case = CASES[name]
    model = make_model(case)
    recorded = np.load(case.recording)

    (labels,) = model.predict(make_images(case), case.inference)
    assert labels.shape == recorded["labels"].shape
    assert len(np.unique(recorded["labels"])) >= 10, "too easy: nearly one class everywhere"
    assert np.mean(labels.numpy() != recorded["labels"]) <= MAX_DIFFERING

    model.train()
    with seeded_points(case.seed), torch.no_grad():
        losses = model(make_images(case, 2), make_labels(case, 2))
    wanted = {key: float(recorded[key]) for key in recorded if key != "labels"}
    assert {key: float(value) for key, value in losses.items()} == pytest.approx(
        wanted, rel=LOSS_TOLERANCE
    )
