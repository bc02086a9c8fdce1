"""Options that several commands share, and the device they compute on."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.base.asked import asking, split_pairs
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.names import require_name
from pointrend_repro.config.folder import CONFIG_DIR


class ImageSplit(StrEnum):
    """Whose images are predicted."""

    val = "val"
    train = "train"


class Device(StrEnum):
    """Where to compute; `auto` is a GPU if there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def a_name(param: typer.CallbackParam, value: str | None) -> str | None:
    """Refuse an option's value that is no name before anything is made of it."""
    return None if value is None else require_name(value, f"--{param.name}")


def _files_of(folder: str) -> Callable[[str], list[str]]:
    """Return what completes a name in a shell: a file of that folder of `config/`."""

    def complete(incomplete: str) -> list[str]:
        names = sorted(path.stem for path in (CONFIG_DIR / folder).glob("*.yaml"))
        return [name for name in names if name.startswith(incomplete)]

    return complete


def _ask(ctx: typer.Context, value: list[str] | None) -> list[str] | None:
    """Let the preset be read with what `--set` says, as long as this command runs."""
    ctx.with_resource(asking(value or []))
    return value


Preset = Annotated[
    str,
    typer.Option(
        help="a file of config/presets, such as smoke",
        callback=a_name,
        autocompletion=_files_of("presets"),
    ),
]
Papers = Annotated[
    str, typer.Option(help="folders of config/papers, separated by commas; none: the preset's")
]
DatasetName = Annotated[
    str,
    typer.Option(
        help="a file of config/datasets", callback=a_name, autocompletion=_files_of("datasets")
    ),
]
VariantName = Annotated[
    str, typer.Option(help="a paper's model, or a file of config/variants", callback=a_name)
]
InferenceName = Annotated[
    str, typer.Option(help="one of the variant's inference settings", callback=a_name)
]
DataRoot = Annotated[Path | None, typer.Option(help="the data set's folder, if not the usual one")]
LvisAnnotations = Annotated[Path | None, typer.Option(help="LVIS v0.5 annotations for AP*")]
ConfigDir = Annotated[Path, typer.Option(help="folder with papers, presets, datasets")]
DeviceName = Annotated[Device, typer.Option(help="where to compute")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads that torch may use")]
SplitName = Annotated[
    ImageSplit, typer.Option(help="whose images; train: as proposals for another training")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="processes that read and encode images beside the model; none: on a GPU, as many as "
        "--threads leave",
    ),
]
ModelName = Annotated[str, typer.Option("--model", help="a name of pointrend_repro.list_models()")]
ChosenModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="a name of pointrend_repro.list_models(); none: that of --weights, or "
        "pointrend_r50_fpn_coco",
    ),
]
ChosenWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="a model.safetensors trained here, or a file for --model; none: the published ones",
    ),
]
OwnHead = Annotated[
    str | None, typer.Option(help="your own head, module:Class, if the model has one")
]
DataDir = Annotated[Path, typer.Option(help="where `data fetch` puts published weights")]
AtTest = Annotated[
    list[str] | None,
    typer.Option(
        "--test",
        metavar="KEY=VALUE",
        help="a test setting, such as short_edge_px=1000; may be repeated",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="a setting of the preset, such as optimizer.base_lr=0.01; may be repeated",
        callback=_ask,
    ),
]
Proposals = Annotated[
    Path | None, typer.Option(help="predictions whose boxes the variant reads (proposals_from)")
]
Output = Annotated[Path, typer.Option(help="the file to write")]
ResultsDir = Annotated[Path, typer.Option(help="the folder with <preset>/...")]
ReportsDir = Annotated[Path, typer.Option(help="where to write <preset>/...")]


def read_at_test(words: list[str] | None) -> dict[str, str]:
    """Return the keys and values of `--test`.

    Raises:
        UserError: a word has no key, or no value.
    """
    return split_pairs(words or [], "--test")


def results_of(preset: str, results_dir: Path) -> Path:
    """Return the folder of a preset's results, which may hold none yet.

    Raises:
        UserError: there is no such folder: what is made from it would be empty.
    """
    folder = results_dir / preset
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; name by --results-dir the one in which {preset}/ lies, or "
            f"run `snakemake --cores N --config preset={preset}` first"
        )
    return folder


def prepare_device(device: Device, threads: int, *, needs_gpu: bool) -> str:
    """Limit torch to some threads, and say which device it is to be.

    Raises:
        UserError: a GPU is needed, and there is none.
    """
    import torch

    from pointrend_repro.base.torchvision_import import import_torchvision

    import_torchvision()
    torch.set_num_threads(threads)
    if device is not Device.auto:
        return device.value
    if torch.cuda.is_available():
        return Device.cuda.value
    if needs_gpu:
        raise UserError(
            "this preset trains on a GPU and this machine has none: run it on a cluster, or say "
            "`--device cpu` (`snakemake --config device=cpu`) to train on the CPU all the same"
        )
    return Device.cpu.value
