"""Settings that apply when a trained model is tested and need no new training.

A training's settings also say how its model is tested; those values are stored in the model's file
and have been part of the training's identity from the beginning. An inference setting may replace
them in its `test`, and so may a preset for all of its models. Neither is ever part of a training.

A setting that matters only at test time (soft-NMS, flips, several scales) belongs here, declared
with `added`: it then leaves every digest unchanged until it is set.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator

from pointrend_repro.settings.identity import added
from pointrend_repro.settings.values import Fraction, ImageEdge, PositiveInt, Strict

if TYPE_CHECKING:
    from pointrend_repro.settings.instances import DetectorSettings
    from pointrend_repro.settings.schedule import InputSettings


Nms = Literal["hard", "soft_linear"]
Precision = Literal["fp32", "bf16"]


def _words(value: Any) -> Any:
    """Take a list as a command line has it, such as 600,1000."""
    return value.split(",") if isinstance(value, str) else value


class SizeAtTest(Strict):
    """The size at which a network sees an image. None: as in the settings of its training."""

    short_edge_px: ImageEdge | None = added(
        None, "the shorter side is resized to this; none: input.test_short_edge_px"
    )
    max_long_edge_px: ImageEdge | None = added(
        None, "and the longer is at most this; none: input.max_long_edge_px"
    )
    precision: Precision | None = added(
        None,
        "bf16: convolutions and linear layers in bfloat16, all else as in optimizer.precision; "
        "none: fp32, however the model was trained",
    )

    @property
    def views(self) -> int:
        """How often an image is seen."""
        return 1

    @property
    def has_views(self) -> bool:
        """Whether an image is seen more than once: mirrored, or at further sizes."""
        return self.views > 1


class DetectionAtTest(SizeAtTest):
    """How a detector chooses its boxes. None: as in the settings of its training."""

    rpn_pre_nms: PositiveInt | None = added(
        None, "proposals per level before NMS; none: detector.rpn_pre_nms_test"
    )
    rpn_post_nms: PositiveInt | None = added(
        None, "proposals per image after NMS; none: detector.rpn_post_nms"
    )
    score_threshold: Fraction | None = added(None, "none: detector.score_threshold")
    nms_iou: Fraction | None = added(None, "none: detector.nms_iou")
    detections_per_image: PositiveInt | None = added(None, "none: detector.detections_per_image")
    given_proposals: PositiveInt | None = added(
        None, "boxes of an image that a detector is given at most; none: proposals_from says"
    )
    nms: Nms | None = added(
        None, "soft_linear: an overlap above nms_iou lowers the score by it; none: hard"
    )
    flip: bool | None = added(None, "the mirrored image is seen, too, and the two merged; none: no")
    more_short_edges_px: Annotated[tuple[ImageEdge, ...], BeforeValidator(_words)] | None = added(
        None,
        "further sizes at which the image is seen, merged with the first; the limit of the longer "
        "side grows or shrinks with each; none: one size",
    )

    @property
    def views(self) -> int:
        """How often an image is seen: at each size, and there also mirrored if `flip` is set."""
        return (1 + len(self.more_short_edges_px or ())) * (2 if self.flip else 1)


AS_TRAINED = DetectionAtTest()

_OF_INPUT = {"short_edge_px": "test_short_edge_px", "max_long_edge_px": "max_long_edge_px"}
_OF_DETECTOR = {
    "rpn_pre_nms": "rpn_pre_nms_test",
    "rpn_post_nms": "rpn_post_nms",
    "score_threshold": "score_threshold",
    "nms_iou": "nms_iou",
    "detections_per_image": "detections_per_image",
}

Size = TypeVar("Size", bound=SizeAtTest)


def input_at_test(settings: "InputSettings", test: SizeAtTest) -> "InputSettings":
    """Return a training's input settings as they apply at test time."""
    return settings.model_copy(update=_asked(test, _OF_INPUT))


def detector_at_test(settings: "DetectorSettings", test: DetectionAtTest) -> "DetectorSettings":
    """Return a training's detector settings as they apply at test time."""
    return settings.model_copy(update=_asked(test, _OF_DETECTOR))


def views_at_test(
    settings: "InputSettings", test: DetectionAtTest
) -> list[tuple["InputSettings", bool]]:
    """Return how often an image is seen: at which size, and whether mirrored.

    Each size comes upright first, and then mirrored if `test` asks for it.
    """
    first = input_at_test(settings, test)
    sizes = [first]
    for edge in test.more_short_edges_px or ():
        longest = round(first.max_long_edge_px * edge / first.test_short_edge_px)
        sizes.append(
            first.model_copy(update={"test_short_edge_px": edge, "max_long_edge_px": longest})
        )
    return [(size, flip) for size in sizes for flip in ((False, True) if test.flip else (False,))]


def in_force(
    size: "InputSettings", detector: "DetectorSettings | None", test: SizeAtTest
) -> dict[str, Any]:
    """Return the values with which a model is tested, under the keys of `test`, as JSON values.

    Args:
        size: the training's input settings.
        detector: the training's, if the model is a detector.
        test: what an inference setting asks for.
    """
    sized = input_at_test(size, test)
    found = {key: getattr(sized, name) for key, name in _OF_INPUT.items()}
    found["precision"] = test.precision or "fp32"
    if detector is not None and isinstance(test, DetectionAtTest):
        chosen = detector_at_test(detector, test)
        found |= {key: getattr(chosen, name) for key, name in _OF_DETECTOR.items()}
        found |= {"nms": test.nms or "hard", "flip": bool(test.flip)}
        found["more_short_edges_px"] = list(test.more_short_edges_px or ())
    return found


def on_top(test: Size, over: Size) -> Size:
    """Return `test` with the values that `over` sets."""
    return test.model_copy(update=over.model_dump(exclude_none=True))


def _asked(test: SizeAtTest, names: dict[str, str]) -> dict[str, Any]:
    asked = test.model_dump(exclude_none=True)
    return {names[key]: value for key, value in asked.items() if key in names}
