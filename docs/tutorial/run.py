"""Run the notebook without Jupyter: `python docs/tutorial/run.py`.

Numbers go to the terminal and pictures to the folder that the first line names, or to
`TUTORIAL_FOLDER`.
"""

import json
import os
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).with_name("pointrend.ipynb")


def run(notebook: Path = NOTEBOOK) -> dict[str, Any]:
    """Run the code cells of a notebook in order; return the names that they defined."""
    names: dict[str, Any] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            code = compile("".join(cell["source"]), f"{notebook.name}, {cell['id']}", "exec")
            exec(code, names)
    return names


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")  # figures are saved, not shown
    run()
