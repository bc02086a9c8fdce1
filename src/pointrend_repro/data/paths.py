"""Where the files of a data set are, given the user's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.declarations.metric import Layout, Truth

# Of Cityscapes' label images.
LabelKind = Literal["instanceIds", "labelIds"]

# What made a generated folder, in that folder.
GENERATED_RECORD = "generated.json"


@dataclass(frozen=True)
class UserData:
    """Data that the user keeps in places of their own."""

    data_root: Path | None = None
    lvis_annotations: Path | None = None


@dataclass(frozen=True)
class DataPaths:
    """Files and folders of a data set, whose annotations are in COCO format.

    Those of Cityscapes, of the first images of val, and of a val taken out of train are made
    by `data prepare`; the others come with the data.

    Attributes:
        prepared_from: what it makes them of: a file of annotations or, of Cityscapes, `root`.
    """

    root: Path
    train_images: Path
    train_annotations: Path
    val_images: Path
    val_annotations: Path
    lvis_annotations: Path | None
    prepared_from: Path | None = None

    def truth(self, part: Truth) -> Path | None:
        """Return what predictions are scored against; for label images the whole data set's folder.

        None if the data set does not have it (`has_truth`).
        """
        return {
            "val_annotations": self.val_annotations,
            "lvis_annotations": self.lvis_annotations,
            "val_label_images": self.root,
        }[part]


AllPaths = dict[str, DataPaths]


def label_ending(kind: LabelKind) -> str:
    """Return how the names of Cityscapes' label images end."""
    return f"_gtFine_{kind}.png"


def data_paths(name: str, dataset: Dataset, user: UserData) -> DataPaths:
    """Return the paths of a data set; the user's choice overrides its configuration.

    Raises:
        UserError: the data set has no folder of its own and the user named none.
    """
    root = user.data_root or (Path(dataset.root) if dataset.root else None)
    if root is None:
        raise UserError(
            f"data set {name!r} is a folder of yours: name it, as in "
            f"`snakemake --config preset=tiny data_root=FOLDER`, or with `--data-root FOLDER`"
        )
    if dataset.layout == "cityscapes":
        return _cityscapes_paths(name, root)
    own_lvis = root / dataset.lvis_annotations if dataset.lvis_annotations else None
    lvis = user.lvis_annotations or own_lvis
    if dataset.val_from_train is not None:
        return _split_paths(name, root, dataset, lvis)
    return DataPaths(
        root=root,
        train_images=root / dataset.train_images,
        train_annotations=root / dataset.train_annotations,
        val_images=root / dataset.val_images,
        val_annotations=_val_annotations(name, root, dataset),
        lvis_annotations=lvis,
        prepared_from=root / dataset.val_annotations if dataset.val_first else None,
    )


def _split_paths(name: str, root: Path, dataset: Dataset, lvis: Path | None) -> DataPaths:
    # Not below `root`, which may be read-only.
    prepared, images = Path("data") / f"{name}_parts", root / dataset.train_images
    return DataPaths(
        root=root,
        train_images=images,
        train_annotations=prepared / "instances_train.json",
        val_images=images,
        val_annotations=prepared / "instances_val.json",
        lvis_annotations=lvis,
        prepared_from=root / dataset.train_annotations,
    )


def _val_annotations(name: str, root: Path, dataset: Dataset) -> Path:
    if dataset.val_first is None:
        return root / dataset.val_annotations
    # Not below `root`, which may be read-only.
    return Path("data") / f"{name}_first" / "instances_val.json"


def has_truth(part: Truth, dataset: Dataset, user: UserData) -> bool:
    """Whether a data set has the ground truth for a metric of its layout.

    LVIS annotations are a separate download; all others come with the data.
    """
    return part != "lvis_annotations" or bool(user.lvis_annotations or dataset.lvis_annotations)


def paths_of_all(
    datasets: Mapping[str, Dataset], user: Mapping[Layout, UserData], roots: Mapping[str, Path]
) -> AllPaths:
    """Return the paths of each data set of a preset.

    Args:
        user: what the user named for each layout.
        roots: folders that the user named by data set; these take precedence.

    Raises:
        UserError: one path of the user's would be used for two data sets.
    """
    for layout, data in user.items():
        sharing = sorted(name for name, each in datasets.items() if each.layout == layout)
        unnamed = [name for name in sharing if name not in roots]
        if data.data_root and len(unnamed) > 1:
            raise _shared(data.data_root, unnamed, "name each by `roots` (config/config.yaml)")
        if data.lvis_annotations and len(sharing) > 1:
            raise _shared(
                data.lvis_annotations,
                sharing,
                "name its own in each one's file in config/datasets/ by `lvis_annotations`",
            )
    found = {}
    for name, each in datasets.items():
        data = user[each.layout]
        named = replace(data, data_root=roots.get(name, data.data_root))
        found[name] = data_paths(name, each, named)
    return found


def _shared(named: Path, names: list[str], instead: str) -> UserError:
    return UserError(
        f"{named}: would be used for each of the data sets {', '.join(names)}, which would be "
        f"trained or scored on the same files; {instead} instead"
    )


def _cityscapes_paths(name: str, root: Path) -> DataPaths:
    # Not below `root`: the official folder stays as unpacked, and may be read-only.
    prepared = Path("data") / f"{name}_instances"
    return DataPaths(
        root=root,
        train_images=root / "leftImg8bit" / "train",
        train_annotations=prepared / "instances_train.json",
        val_images=root / "leftImg8bit" / "val",
        val_annotations=prepared / "instances_val.json",
        lvis_annotations=None,
        prepared_from=root,
    )
