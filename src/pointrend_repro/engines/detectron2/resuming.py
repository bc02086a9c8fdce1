"""Which checkpoint detectron2 may resume from, and the record that ours have.

detectron2 unpickles whatever its folder names.
"""

import contextlib
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.torch_files import read_torch_file
from pointrend_repro.training.parts import Parts


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


def remove_older(newest: Path, *, keep: int) -> None:
    """Remove the checkpoints of earlier runs, which detectron2 forgets when it is started again.

    Args:
        newest: the one to go on from.
        keep: how many stay, with that one. Later ones stay, too: somebody may have named an older
            one to go on from.
    """
    older = [path for path in newest.parent.glob("model_[0-9]*.pth") if path.name < newest.name]
    for path in sorted(older, reverse=True)[keep - 1 :]:
        with contextlib.suppress(OSError):  # to go on is worth more than the space
            path.unlink()


class RecordInCheckpoints:
    """Writes the record of a training into its checkpoints, and keeps what a loaded one says.

    Given to detectron2's checkpointer, which asks it for its state as it asks models for theirs.

    Attributes:
        found: of the loaded checkpoint; None if there is none, or it is older than records are.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.found: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the record up to now."""
        return self._parts.record()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep the record of a loaded checkpoint."""
        self.found = state

    def go_on(self, iterations: int, total: int) -> None:
        """Tell the record of a training that it goes on from the loaded checkpoint."""
        self._parts.go_on(self.found, iterations, total)
