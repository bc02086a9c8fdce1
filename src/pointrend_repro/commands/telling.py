"""What a command says at its end: what it wrote."""

import os
from pathlib import Path


def tell_written(*paths: Path) -> None:
    """Name what was written; of processes that work together, one does."""
    if os.environ.get("RANK", "0") == "0":
        print(f"Written: {', '.join(map(str, paths))}")
