# What the rules of data.smk ask for.
from pointrend_repro.base.provenance import digest
from pointrend_repro.experiments.nodes import (
    METRICS_FILE,
    data_today_path,
    dataset_log_path,
    dataset_path,
)
from pointrend_repro.settings.generated import RENDERER_VERSION
from pointrend_repro.settings.identity import identity


def generated_folder(wildcards):
    """The folder that a generated data set is drawn into; other sets have to be there already."""
    dataset = GRID.datasets[wildcards.dataset]
    return [dataset.root] if dataset.generate else []


def data_check(wildcards):
    """The command of the rule check_data, but for its output."""
    options = [data_root_option(wildcards), SETTINGS.lvis_option]
    command = ["pointrend-repro", "data", "check", "--dataset", wildcards.dataset]
    return [*command, *filter(None, options), "--config-dir", "config"]


def usual_root(wildcards):
    """Where a data set lies by its configuration; None if the user has named another place."""
    dataset = GRID.datasets[wildcards.dataset]
    is_usual = str(DATA[wildcards.dataset].root) == dataset.root
    return dataset.root if is_usual else None


def data_records(wildcards):
    """Records of the downloads that a data set comes from: fetched, or found and counted."""
    root, dataset = usual_root(wildcards), GRID.datasets[wildcards.dataset]
    paths = (
        [root, *(f"{root}/{file}" for file in dataset.unusual_annotations)]
        if root
        else []
    )
    return list(
        dict.fromkeys(record for path in paths for record in DOWNLOADS.record(path))
    )


def data_files(wildcards):
    """What is made of a data set before it can be checked."""
    paths = DATA[wildcards.dataset]
    dataset = GRID.datasets[wildcards.dataset]
    if dataset.layout == "cityscapes":
        return [paths.train_annotations, paths.val_annotations]
    if dataset.val_from_train is not None:
        return [
            *generated_folder(wildcards),
            paths.train_annotations,
            paths.val_annotations,
        ]
    if dataset.val_first is not None:
        return [*generated_folder(wildcards), paths.val_annotations]
    return generated_folder(wildcards)


def changeable_data(wildcards):
    """Files and folders of a data set that is not ours, whose times show that it has changed.

    What is not there is not asked for here: the check tells in one line what is missing.
    """
    paths = DATA[wildcards.dataset]
    names = ("train_annotations", "val_annotations", "train_images", "val_images")
    found = [path for name in names if (path := getattr(paths, name)).exists()]
    if paths.prepared_from is not None and paths.prepared_from.is_file():
        found.append(paths.prepared_from)
    if GRID.datasets[wildcards.dataset].layout == "cityscapes":
        found = [
            path
            for kind in ("leftImg8bit", "gtFine")
            for split in ("train", "val")
            for path in paths.root.glob(f"{kind}/{split}/*/")
        ]
    return sorted(str(path) for path in found)


def data_today(dataset):
    """The record of a data set when the report is made; ours do not change by themselves."""
    path = dataset_path if GRID.datasets[dataset].generate else data_today_path
    return f"{RESULTS}/{path(dataset)}"
