"""`pointrend-repro plan`: what a preset will take, before anything starts."""

from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.commands.grids import grid_of
from pointrend_repro.commands.options import (
    Changes,
    ConfigDir,
    LvisAnnotations,
    Papers,
    Preset,
    ReportsDir,
    ResultsDir,
)
from pointrend_repro.config.folder import CONFIG_DIR


def plan(
    preset: Preset,
    gpu: Annotated[str, typer.Option(help="a GPU of config/speeds.yaml")] = "v100",
    gpus_per_training: Annotated[int, typer.Option(min=1, help="GPUs that train one model")] = 8,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="GPUs in use at a time, enough for one training")
    ] = None,
    changes: Changes = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    results_dir: ResultsDir = Path("results"),
    reports_dir: ReportsDir = Path("reports"),
    data_root: Annotated[Path | None, typer.Option(help="your folder with COCO")] = None,
    cityscapes_root: Annotated[
        Path | None, typer.Option(help="your folder with Cityscapes")
    ] = None,
    papers: Papers = "",
    lvis_annotations: LvisAnnotations = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Show a preset's jobs, GPU-hours, disk use and downloads, and what is done."""
    from pointrend_repro.pipeline.planning.jobs import Places
    from pointrend_repro.pipeline.planning.plan import make_plan
    from pointrend_repro.pipeline.planning.text import to_text

    grid = grid_of(preset, config_dir, papers=papers, lvis_annotations=lvis_annotations)
    named = {"coco": data_root, "cityscapes": cityscapes_root}
    own = frozenset(layout for layout, folder in named.items() if folder)
    places = Places(results_dir / preset, reports_dir / preset, config_dir, own)
    made = make_plan(grid, places, gpu=gpu, gpus_per_training=gpus_per_training, gpus=gpus)
    typer.echo(made.model_dump_json(indent=2) if as_json else to_text(made), nl=as_json)
