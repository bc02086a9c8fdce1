"""Writes the data set's file, `config/datasets/<name>.yaml`, with a survey's proposals."""

import os
from pathlib import Path

import yaml

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_text
from pointrend_repro.base.names import require_name
from pointrend_repro.base.texts import visible
from pointrend_repro.tools.survey.inspecting import Survey


def dataset_path(name: str, config_dir: Path) -> Path:
    """Return where the file of a data set goes.

    Raises:
        UserError: the name is invalid, or the file exists.
    """
    path = config_dir / "datasets" / f"{require_name(name, '--name')}.yaml"
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder; name it by --config-dir")
    if path.exists() or path.is_symlink():
        raise UserError(f"{path}: exists already; remove it, or choose another --name")
    return path


def write_dataset(survey: Survey, path: Path) -> None:
    """Write a data set's file; a root inside the clone is written relative to it."""
    write_text(path, to_yaml(survey, clone=path.resolve().parents[2]))


def next_step(name: str) -> str:
    """Return the command to run once a data set's file exists."""
    if name == "mine":
        return "snakemake --cores 2 --config preset=mine_quick"
    return (
        f"copy config/presets/mine_quick.yaml and mine.yaml, say `coco: {name}` under datasets in "
        "both, and give the copies' names as preset"
    )


def to_yaml(survey: Survey, *, clone: Path) -> str:
    """Return the file's text: valid for `config.datasets.Dataset`, whatever its classes are called.

    Args:
        clone: the folder in which the pipeline runs.
    """
    if survey.proposal is None:
        raise UserError(f"{survey.root}: has nothing to train on, so there is nothing to write")
    proposal, root = survey.proposal, survey.root.absolute()
    (schedule,) = proposal.recipe.schedules.values()
    inside = root.relative_to(clone) if root.is_relative_to(clone) else root
    recipe, reasons, side = proposal.recipe, proposal.reasons, proposal.output_resolution
    drops = ", ".join(map(str, schedule.lr_drop_iters))
    lines = [
        "# Made by `pointrend-repro data check`; yours to change (docs/your_data.md).",
        f"title: {_text(visible(root.name))}",
        f"layout: {survey.layout}",
        f"root: {_text(str(inside))}",
        *(_coco_paths(survey) if survey.layout == "coco" else ()),
        f"num_classes: {len(survey.categories)}",
        "classes: # by rising id, as in the annotations; checked before anything is trained",
        *(f"  - {_text(category.name)}" for category in survey.categories),
        f"metrics: [{', '.join(survey.metrics)}]",
        f"# PointRend's output resolution: {side}, the row {side}x{side} of the table:",
        f"# {reasons['output resolution']}.",
        "recipe:",
        f"  input: # {reasons['input']}",
        f"    train_short_edges_px: [{', '.join(map(str, recipe.input.train_short_edges_px))}]",
        f"    test_short_edge_px: {recipe.input.test_short_edge_px}",
        f"    max_long_edge_px: {recipe.input.max_long_edge_px}",
        f"  optimizer: # {reasons['optimizer']}",
        f"    images_per_batch: {recipe.optimizer.images_per_batch}",
        f"    base_lr: {recipe.optimizer.base_lr}",
        f"  schedules: # {reasons['schedule']}",
        f"    1x: {{total_iters: {schedule.total_iters}, lr_drop_iters: [{drops}]}}",
    ]
    return "\n".join(lines) + "\n"


def _coco_paths(survey: Survey) -> list[str]:
    lines = []
    for name, split in survey.splits.items():
        for key, path in (("images", split.images_dir), ("annotations", split.annotations)):
            # Not resolved, so that a link inside the folder stays a link.
            below = os.path.relpath(path.absolute(), survey.root.absolute())
            lines.append(f"{name}_{key}: {_text(below)}")
    return lines


def _text(value: str) -> str:
    """Return a text as YAML on one line, quoted if it would be read as something else."""
    # Line breaks of any script are escaped, which only double quotes allow.
    style = None if value.isprintable() else '"'
    listed = yaml.safe_dump(
        [value],
        default_style=style,
        default_flow_style=True,
        allow_unicode=style is None,
        width=2**31,
    )
    return listed.strip()[1:-1]
