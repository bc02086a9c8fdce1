"""The predictions whose boxes a training or a prediction is given, checked against their record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.origins import require_as_recorded, require_of
from pointrend_repro.predictions.proposals import Proposals, read_proposals
from pointrend_repro.settings.of_family import AnyInferenceSettings
from pointrend_repro.settings.proposals_from import ResolvedProposals
from pointrend_repro.settings.values import Split


@dataclass(frozen=True)
class GivenBoxes:
    """Proposals of a split of a data set, and what a record says of their file."""

    proposals: Proposals
    record: dict[str, Any]


def read_given_boxes(
    settings: ResolvedProposals | None,
    path: Path | None,
    dataset: Any,
    *,
    split: Split,
    experiment: dict[str, Any],
    at_most: int | None = None,
) -> GivenBoxes | None:
    """Return the boxes that a training's `proposals_from` names; None if it names none.

    Args:
        path: the predictions.
        dataset: the split of the data set whose images they are of.
        experiment: with the preset and the trial of who reads them.
        at_most: how many boxes of an image; none: as `settings` say.

    Raises:
        DamagedError: the predictions are not what their record describes.
        UserError: they are not there, are of another training or split, or of none of the images.
    """
    if settings is None:
        return None
    told = f"{settings.variant}/{settings.inference} on {settings.dataset}"
    if path is None:
        raise UserError(
            f"proposals_from: needs the boxes of {told}; give its predictions of the {split} "
            "images by --proposals"
        )
    origin, digest = require_as_recorded(path, "predict")
    _require_of(path, settings, origin, {"split": split} | experiment)
    proposals = read_proposals(path, at_most=at_most or settings.most(split))
    if proposals and not any(image.id in proposals for image in dataset.images):
        raise UserError(f"{path}: has boxes in none of the data set's {split} images")
    return GivenBoxes(proposals, {"file": str(path), "input_digest": digest, "origin": origin})


def _require_of(
    path: Path, settings: ResolvedProposals, origin: dict[str, Any], experiment: dict[str, Any]
) -> None:
    keys = ("preset", "trial", "split")
    asked = {key: experiment[key] for key in keys if key in experiment}
    if "train" not in origin:
        asked.pop("trial", None)  # all trials share what is not trained
    asked |= settings.model_dump(include={"dataset", "variant", "inference"})
    require_of(path, {"split": "val"} | origin, asked)


@dataclass(frozen=True)
class GivenFile:
    """The predictions whose boxes a prediction is given, and whose boxes these have to be.

    Attributes:
        at_most: how many boxes of an image; none: as `settings` say.
    """

    settings: ResolvedProposals
    path: Path | None
    at_most: int | None = None

    def read(
        self, dataset: Any, split: Split, origin: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return arguments of `Family.predict`, and what the record of the prediction says of them.

        Args:
            origin: of the model that is given the boxes.
        """
        keys = {"preset", "trial"} & set(origin)
        experiment = {key: origin[key] for key in keys}
        given = read_given_boxes(
            self.settings,
            self.path,
            dataset,
            split=split,
            experiment=experiment,
            at_most=self.at_most,
        )
        assert given is not None
        return {"proposals": given.proposals}, {"proposals_from": given.record}


def given_file(
    settings: ResolvedProposals | None, path: Path | None, inference: AnyInferenceSettings
) -> GivenFile | None:
    """Return what a training's settings say that its predictions read; None if nothing."""
    at_most = getattr(inference.test, "given_proposals", None)
    return None if settings is None else GivenFile(settings, path, at_most)
