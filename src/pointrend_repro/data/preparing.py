"""What `data prepare` writes: annotations of instances that a data set itself does not have so."""

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.data.cityscapes import prepare_instances
from pointrend_repro.data.first_images import prepare_first_images
from pointrend_repro.data.own_split import prepare_own_split
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.prepared import take_note, write_note


def prepare_annotations(name: str, config: Dataset, paths: DataPaths) -> None:
    """Write the annotations of Cityscapes' instances, or of another choice of COCO's images.

    A note of what they were made of lies beside them (`data.prepared`).

    Raises:
        UserError: there is nothing to prepare, or the data set's own files are missing or faulty.
    """
    note = take_note(name, paths)  # before: what changes meanwhile is not in them for sure
    _write_annotations(name, config, paths)
    write_note(note, paths)


def _write_annotations(name: str, config: Dataset, paths: DataPaths) -> None:
    if config.val_first is not None:
        whole = paths.root / config.val_annotations
        prepare_first_images(whole, config.val_first, paths.val_annotations)
    elif config.val_from_train is not None:
        prepare_own_split(
            paths.root / config.train_annotations,
            config.val_from_train,
            seed=config.split_seed,
            train=paths.train_annotations,
            val=paths.val_annotations,
        )
    elif config.layout == "cityscapes":
        _prepare_cityscapes(paths)
    else:
        raise UserError(f"data set {name!r} has layout {config.layout}: nothing to prepare")


def _prepare_cityscapes(paths: DataPaths) -> None:
    if not paths.root.is_dir():
        raise UserError(
            f"{paths.root}: no such folder; `pointrend-repro data fetch cityscapes` gets it by "
            "your account, or from its two archives in data/downloads/; or name yours: "
            "`snakemake --config cityscapes_root=FOLDER`"
        )
    prepare_instances(paths.root, "train", paths.train_annotations)
    prepare_instances(paths.root, "val", paths.val_annotations)
