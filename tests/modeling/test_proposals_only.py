"""A detector that is asked for its proposals alone gives those of its RPN, best first."""

import torch
from test_detector import detector, image

from pointrend_repro.engines.detectron2.detector_keys import detector_inference_problems
from pointrend_repro.settings.heads import Conv4HeadSettings
from pointrend_repro.settings.instances import InferenceSettings

ASKED = InferenceSettings(proposals_only=True)


def test_they_are_the_rpns() -> None:
    model = detector("4conv").eval()
    pictures = [image(80, 120), image(60, 60, seed=1)]
    found = model.detect(pictures, ASKED)
    with torch.no_grad():
        features = model.backbone(pictures)
        rpn = model.own_proposals()
        sizes = [(80, 120), (60, 60)]
        expected = rpn.propose(rpn.anchors(features), *rpn(features), sizes)
    for one, boxes in zip(found, expected, strict=True):
        assert torch.equal(one.boxes, boxes)
        assert len(boxes) > 5
        assert one.scores.tolist() == sorted(one.scores.tolist(), reverse=True)
        assert len(set(one.scores.tolist())) == len(boxes), "no ties, which a file could reorder"
        assert one.mask_logits is None
        assert not one.labels.any()


def test_detectron2_does_not_do_this() -> None:
    head = Conv4HeadSettings(kind="4conv")
    assert detector_inference_problems(head, ASKED) == ["inference.proposals_only"]
    assert detector_inference_problems(head, InferenceSettings()) == []
