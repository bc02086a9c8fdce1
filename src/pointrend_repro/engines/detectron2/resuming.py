"""Which checkpoint detectron2 may resume from: it unpickles whatever its folder names."""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.torch_files import read_torch_file


def require_own_checkpoint(folder: Path, named: str) -> None:
    """Require that the checkpoint named by `last_checkpoint` is one of this training's.

    detectron2 also accepts a path or an address there, and runs the code in a `.pkl`.

    Args:
        folder: that of the training.
        named: the path that detectron2 would load.

    Raises:
        UserError: it lies elsewhere, is not a `.pth`, or holds more than tensors and plain values.
    """
    path = Path(named)
    if path.parent != folder or path.suffix != ".pth":
        raise UserError(
            f"{folder / 'last_checkpoint'}: names {named!r}, which is not a checkpoint of this "
            "training; remove the file to start again, or write the name of one in this folder"
        )
    read_torch_file(path)
