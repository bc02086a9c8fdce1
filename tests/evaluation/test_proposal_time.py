"""What is timed of proposals, with a clock that is set by hand."""

from typing import Any

import pytest
import torch

from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation import clock, proposal_time
from pointrend_repro.modeling.deepmask.windows import find_windows
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings
from pointrend_repro.settings.schedule import InputSettings

SMALL: dict[str, Any] = {
    "backbone": {"name": "resnet18_narrow"},
    "patch_px": 64,
    "feature_channels": 8,
    "bottleneck_channels": 16,
    "score_channels": 12,
    "mask_resolution": 8,
}


@pytest.mark.parametrize("refinement", [None, {"k": 8, "skip_channels": [4]}])
def test_scores_and_masks_are_timed_apart(
    monkeypatch: pytest.MonkeyPatch, refinement: dict[str, Any] | None
) -> None:
    """Reading the clock takes a second here: the whole, then a score's start and end per size."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(seconds))
    monkeypatch.setattr(proposal_time, "HEIGHT_PX", 48)
    monkeypatch.setattr(proposal_time, "WIDTH_PX", 64)
    made = []
    original = proposal_time.masks_of

    def counted(model: Any, windows: Any, inference: Any) -> Any:
        made.append(len(windows))
        return original(model, windows, inference)

    monkeypatch.setattr(proposal_time, "masks_of", counted)
    values = proposal_time.proposal_time(
        DeepMaskModelSettings.model_validate(SMALL | {"refinement": refinement}),
        DeepMaskInferenceSettings(octaves=(-1, 0), proposals=7, keep="best_for_objects"),
        size=InputSettings(),
        device="cpu",
    )
    assert values == {"score_ms": 3000, "total_ms": 7000, "mask_ms": 4000}
    assert set(values) == set(METRICS.find("proposal_time").keys)
    assert made == [7, 7, 7], "one round is not counted; what the ground truth would keep is not"


@pytest.mark.parametrize("head", ["a", "b", "c", "original"])
def test_what_mask_and_score_share_is_computed_once(head: str) -> None:
    """Table 2's head B shares the reduced features: computed twice, it was the slowest, not A."""
    model = build_model(DeepMaskModelSettings.model_validate(SMALL | {"head": head}), 1).eval()
    calls = []
    model.bottleneck.register_forward_hook(lambda *_: calls.append(1))
    inference = DeepMaskInferenceSettings(octaves=(-1, 0), proposals=7)
    find_windows(model, torch.zeros(3, 48, 64), inference, at_most=7)
    assert len(calls) == len(inference.scales(SMALL["patch_px"])), "once for each size"
