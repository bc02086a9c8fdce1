"""When a running training saves a checkpoint, and what is in one."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointrend_repro.training.checkpoints import load_checkpoint, save_checkpoint
from pointrend_repro.training.parts import Parts
from pointrend_repro.training.update import State

# A node that fails costs no more than this, however long an update takes.
_OLD_S = 30 * 60


@dataclass
class Saving:
    """The checkpoints of one training.

    Attributes:
        folder: of the checkpoints.
        digests: by which the training recognises them, as `load_checkpoint` asks for them.
        parts: the runs of this training; in process 0, and none where no record is wanted.
        newest: after how many updates the newest one was written.
        time_s: of a clock, when that was.
    """

    folder: Path
    digests: dict[str, str]
    parts: Parts | None = None
    newest: int = 0
    time_s: float = field(default_factory=time.monotonic)

    def load(self, total: int) -> dict[str, Any] | None:
        """Return the newest state, or None if there is none.

        Args:
            total: after how many updates the training is finished.

        Raises:
            UserError: as `load_checkpoint`.
        """
        state = load_checkpoint(self.folder, **self.digests)
        if state is None:
            return None
        # What it began with is told by it alone: the file of today may be away, or another one.
        begun = {"source_digest": state["source_digest"]} if "source_digest" in state else {}
        others = {key: value for key, value in self.digests.items() if key != "source_digest"}
        self.digests = others | begun
        if self.parts is not None:
            self.parts.go_on(state.get("record"), state["iteration"], total)
        return state

    def save(self, state: State) -> None:
        """Write everything that later iterations depend on.

        Their random draws follow from their numbers.
        """
        content = {
            **self.digests,
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "skipped": state.skipped,
            **({} if self.parts is None else {"record": self.parts.record()}),
        }
        save_checkpoint(self.folder, state.iteration, content)

    def note(self, iteration: int) -> None:
        """Remember that a checkpoint was written, in whichever process."""
        self.newest, self.time_s = iteration, time.monotonic()

    def is_old(self) -> bool:
        """Whether the newest checkpoint, or the start, is so long ago that another is due."""
        return time.monotonic() - self.time_s > _OLD_S


def restore(state: State, saved: dict[str, Any]) -> None:
    """Continue from a loaded state."""
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.iteration, state.skipped = saved["iteration"], saved["skipped"]
