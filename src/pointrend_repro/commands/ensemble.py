"""Results of several models, of this project or of any toolbox, as one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pointrend_repro.base.errors import UserError

if TYPE_CHECKING:
    from pointrend_repro.tools.ensemble.files import PoolSettings


def ensemble(
    predictions: Annotated[
        list[Path], typer.Argument(help="files in COCO's results format, one for each model")
    ],
    output: Annotated[Path, typer.Option(help="the file to write, in the same format")],
    weights: Annotated[
        str | None, typer.Option(help="a factor of each file's scores, such as 1,0.9,0.6")
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(help="instead: the AP of each, such as 77.4,77.2; weights follow from them"),
    ] = None,
    weighting: Annotated[
        Literal["linear_interpolation", "linear_reweight"],
        typer.Option(help="how --scores become weights: from 0.6 to 1, or in proportion"),
    ] = "linear_interpolation",
    nms: Annotated[
        Literal["soft_linear", "hard"],
        typer.Option(
            help="overlapped by a better one of its class, an object loses score, or is dropped"
        ),
    ] = "soft_linear",
    overlap: Annotated[Literal["boxes", "masks"], typer.Option(help="what is compared")] = "boxes",
    iou: Annotated[float, typer.Option(help="overlaps up to this are ignored")] = 0.5,
    detections: Annotated[int, typer.Option(help="most objects of an image")] = 100,
    annotations: Annotated[
        Path | None,
        typer.Option(help="the predicted images' COCO file, to check ids against"),
    ] = None,
) -> None:
    """Pool the predictions of several models, class by class, before a last (soft-)NMS.

    Masks are taken as they are. The weights of the 3D-FUTURE report are those of --scores.
    """
    from pointrend_repro.tools.ensemble.files import PoolSettings
    from pointrend_repro.tools.ensemble.output import require_output

    require_output(output, predictions)
    settings = PoolSettings(
        weights=_weights(len(predictions), weights, scores, weighting),
        nms=nms,
        overlap=overlap,
        nms_iou=iou,
        detections_per_image=detections,
    )
    _pool(predictions, annotations, settings, output)


def _pool(
    predictions: list[Path], annotations: Path | None, settings: "PoolSettings", output: Path
) -> None:
    from pointrend_repro.predictions.pooling import LEAST_SCORE
    from pointrend_repro.reporting.formats import count
    from pointrend_repro.tools.ensemble.files import write_ensemble
    from pointrend_repro.tools.ensemble.members import read_members, require_masks, strangers

    members = read_members(predictions, annotations)
    if settings.overlap == "masks":
        require_masks(members)
    for warning in strangers(members):
        _warn(warning)
    left, found = write_ensemble(members, settings, output), sum(map(len, members))
    if found and not left:
        _warn(
            f"{output}: nothing is left: all scores times their weights are below {LEAST_SCORE}, "
            "where soft-NMS drops an object; only the ratios of weights matter, so give larger ones"
        )
    told = ", ".join(f"{weight:.3g}" for weight in settings.weights)
    of = count(len(members), "file")
    print(f"{output}: {of}, weights {told}; {left} of {found} predictions are left")


def _warn(message: str) -> None:
    print(f"pointrend-repro: warning: {message}", file=sys.stderr)


def _weights(
    count: int,
    weights: str | None,
    scores: str | None,
    weighting: Literal["linear_interpolation", "linear_reweight"],
) -> tuple[float, ...]:
    from pointrend_repro.settings.ensemble_weights import model_weights

    if weights is not None and scores is not None:
        raise UserError("--weights and --scores: give one of them; weights follow from scores")
    if scores is not None:
        given = _numbers(scores, "--scores", count)
        if not all(number > 0 for number in given):
            raise UserError(f"--scores {scores}: must be above 0")
        return model_weights(given, weighting)
    return (1.0,) * count if weights is None else _numbers(weights, "--weights", count)


def _numbers(text: str, option: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"{option} {text}: must be numbers with commas between them") from None
    if not all(abs(number) < float("inf") for number in numbers):
        raise UserError(f"{option} {text}: must be finite numbers")
    if len(numbers) != count:
        raise UserError(f"{option} {text}: {len(numbers)} numbers for {count} files")
    return numbers
