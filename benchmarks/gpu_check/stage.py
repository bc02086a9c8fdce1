"""What a stage is given, what it leaves, and the process that it runs in.

    python -m benchmarks.gpu_check.stage NAME DEVICE full|quick FOLDER

A stage is a module `benchmarks.gpu_check.stage_NAME` with a function `measure(asked)`. What it has
found lies in a file from the first finding on, so that a stage that is killed leaves that much.
"""

import importlib
import json
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Size = Literal["full", "quick"]
FOUND = "found.json"


@dataclass
class Asked:
    """What a stage is asked for, and what it has found.

    Attributes:
        device: `cuda`, or `cpu` to try the check itself.
        size: `quick` is for that: the numbers say nothing.
        folder: the stage's own, where it may write; `found.json` in it is what it has found.
        found: what stands in that file.
        failures: one line for each thing that went wrong; the stage went on.
    """

    device: str
    size: Size
    folder: Path
    found: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def is_quick(self) -> bool:
        """Whether only the check itself is tried."""
        return self.size == "quick"

    def tell(self, **found: Any) -> None:
        """Add to what is found."""
        self.found |= found
        self._write()

    def fail(self, what: str, error: BaseException) -> None:
        """Note that something went wrong, and print where."""
        traceback.print_exception(error)
        text = " ".join(str(error).split())[:300]
        self.failures.append(f"{what}: {type(error).__name__}: {text}")
        self._write()

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / f"{FOUND}.new"
        new.write_text(json.dumps(self.found | {"failures": self.failures}), encoding="utf-8")
        new.replace(self.folder / FOUND)


def run(name: str, asked: Asked) -> None:
    """Run a stage; an error ends it, and is one of its failures."""
    try:
        importlib.import_module(f"benchmarks.gpu_check.stage_{name}").measure(asked)
    except Exception as error:
        asked.fail(name, error)
    asked.tell()


def main() -> None:
    name, device, size, folder = sys.argv[1:]
    asked = Asked(device, "quick" if size == "quick" else "full", Path(folder))
    run(name, asked)
    sys.exit(bool(asked.failures))


if __name__ == "__main__":
    main()
