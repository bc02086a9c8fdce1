"""The experiments that a command is about, as its options name them."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointrend_repro.experiments.grid import Grid


def grid_of(
    preset: str, config_dir: Path, *, papers: str = "", lvis_annotations: Path | None = None
) -> "Grid":
    """Read a preset's grid.

    Args:
        papers: as `--papers` has them, with commas; none: those of the preset.
        lvis_annotations: without, AP* is not scored.

    Raises:
        UserError: as `load_grid`.
    """
    from pointrend_repro.config.papers import paper_names
    from pointrend_repro.data.paths import UserData
    from pointrend_repro.experiments.loading import load_grid

    user = UserData(lvis_annotations=lvis_annotations)
    return load_grid(preset, config_dir, user, paper_names(papers))
