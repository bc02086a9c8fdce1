"""Metric files with made-up numbers, which never leave a temporary folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pointrend_repro.base.digests import result_digest
from pointrend_repro.base.files import write_json
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation


def make_record(**changes: Any) -> dict[str, Any]:
    record = {
        "command": "pointrend-repro train --preset smoke",
        "settings": {"lr": 0.02},
        "settings_digest": "123456789012",  # digits only: must not become a number
        "seed": 0,
        "device": "a device",
        "started": "2024-05-01T08:00:00+00:00",
        "wall_s": 90.5,
        "peak_memory_mb": 812.3,
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "code_digest": "12345e678901",  # would be infinite as a float
        "versions": {"python": "3.11.9", "torch": "2.11.0"},
    }
    return record | changes


def make_result(
    grid: Grid, evaluation: Evaluation, values: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """`changes` goes into the records of all three steps."""
    training = evaluation.prediction.training
    other = {"seed": None, "settings": {}}
    return {
        "metric": evaluation.metric,
        "values": values,
        "origin": {
            "preset": grid.name,
            "dataset": training.dataset,
            "variant": training.variant,
            "trial": training.trial,
            "inference": evaluation.prediction.inference,
            "train": make_record(**{"seed": training.trial} | changes),
            "predict": make_record(**other | {"command": "pointrend-repro predict"} | changes),
            "evaluate": make_record(**other | {"command": "pointrend-repro evaluate"} | changes),
        },
    }


def write_result(
    results_dir: Path, grid: Grid, evaluation: Evaluation, values: dict[str, Any], **changes: Any
) -> Path:
    path = results_dir / evaluation.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(make_result(grid, evaluation, values, **changes)))
    return path


def first_evaluation(grid: Grid) -> Evaluation:
    """The first of a table's, in the order of its cells."""
    return next(e for cell in grid.cells for e in cell.evaluations if isinstance(e, Evaluation))


def with_digests(result: dict[str, Any]) -> dict[str, Any]:
    """The result with the digests that its steps would have recorded; its files are made up."""
    train, predict, evaluate = (result["origin"][key] for key in ("train", "predict", "evaluate"))
    model, predictions = (f"sha256:{character * 64}" for character in "ab")
    train["output_digest"] = predict["input_digest"] = model
    predict["output_digest"] = evaluate["input_digest"] = predictions
    evaluate["output_digest"] = result_digest(result)
    return result


def fill_whole_grid(results_dir: Path, grid: Grid) -> None:
    """Write every metric file of a preset, with the settings that its steps would run with.

    Each trial of a cell lies around the published number, some too far away; cells that the paper
    has no number for get 30.
    """
    values: dict[Evaluation | Cost, dict[str, float]] = {}
    for index, cell in enumerate(grid.cells):
        table = grid.tables[cell.table]
        paper = table.rows[cell.row].paper.get(cell.column, 30)
        for trial, evaluation in enumerate(cell.evaluations):
            off = 0.0 if isinstance(evaluation, Cost) else (index % 5) * 0.07 + 0.1 * (trial - 1)
            key = table.columns[cell.column].value
            values.setdefault(evaluation, {}).setdefault(key, round(paper + off, 4))
    for evaluation, found in values.items():
        write_json(results_dir / evaluation.path, _whole_result(grid, evaluation, found))


def _whole_result(
    grid: Grid, evaluation: Evaluation | Cost, values: dict[str, float]
) -> dict[str, Any]:
    if isinstance(evaluation, Cost):
        settings = {"inference": _inference(grid, evaluation.variant, evaluation.inference)}
        origin = {
            "preset": grid.name,
            "variant": evaluation.variant,
            "inference": evaluation.inference,
            "evaluate": make_record(settings=settings, command="pointrend-repro cost", seed=None),
        }
        units = METRICS.find("mask_head_cost").keys
        return {"metric": "mask_head_cost", "values": values, "units": units, "origin": origin}
    result = make_result(grid, evaluation, values, versions=VERSIONS)
    training, origin = evaluation.prediction.training, result["origin"]
    settings = grid.training_settings(training.dataset, training.variant)
    origin["train"] |= {
        "settings": settings.model_dump(mode="json"),
        "device": "cuda (NVIDIA V100)",
        "world_size": 8,
        "wall_s": 25_000.0 + training.trial,
        "command": f"pointrend-repro train --preset {grid.name} --dataset {training.dataset} "
        f"--variant {training.variant} --trial {training.trial} --device cuda --threads 8 "
        f"--output results/{grid.name}/{training.folder}/model.safetensors",
    }
    inference = evaluation.prediction.inference
    origin["predict"]["settings"] = _inference(grid, training.variant, inference)
    origin["predict"]["wall_s"] = 900.0 + training.trial
    origin["evaluate"]["settings"] = {"metric": evaluation.metric}
    return result


def _inference(grid: Grid, variant: str, inference: str) -> dict[str, Any]:
    return grid.inference_settings(variant, inference).model_dump(mode="json")


_LIBRARIES = ["accelerate", "cityscapesscripts", "lvis", "numpy", "pillow", "pycocotools", "torch"]
VERSIONS = dict.fromkeys(_LIBRARIES, "1.22.333")


# The rows that the paper prints; the pipeline's Table 1 has more.
PAPER_ROWS = ("4conv_28", "pointrend_28", "pointrend_224")


def only_table1(grid: Grid, trials: int) -> Grid:
    """The paper's Table 1 on COCO alone: later tables and rows must not change what is counted.

    There are no pictures, for the same reason.

    Cityscapes is as in a preset that leaves it out.
    """
    table = grid.tables["table1"]
    table = table.model_copy(update={"rows": {name: table.rows[name] for name in PAPER_ROWS}})
    cells = tuple(
        _with_trials(cell, trials)
        if table.columns[cell.column].dataset == "coco"
        else replace(cell, evaluations=(), not_run_because="not part of this preset")
        for cell in grid.cells
        if cell.table == "table1" and cell.row in PAPER_ROWS
    )
    preset = grid.preset.model_copy(update={"pictures": []})
    return replace(grid, preset=preset, tables={"table1": table}, cells=cells)


def _with_trials(cell: Cell, trials: int) -> Cell:
    first = cell.evaluations[0]
    assert isinstance(first, Evaluation)
    prediction, training = first.prediction, first.prediction.training
    return replace(
        cell,
        evaluations=tuple(
            replace(first, prediction=replace(prediction, training=replace(training, trial=k)))
            for k in range(trials)
        ),
    )


def nasty(grid: Grid) -> Grid:
    """Table 1 with all that Markdown, LaTeX and HTML read as commands wherever a text can stand."""
    title = r"\input{x} 100% & $a_b^c$ #1 ~ -- | <script> `x` [y](z) {} ± × β² 日本 " "\x07"
    table = grid.tables["table1"]
    name = {"title": title, "unit": title, "tolerance_source": title}
    columns = {
        key: column.model_copy(update=name | {"heading": (title, key)})
        for key, column in table.columns.items()
    }
    rows = {
        key: row.model_copy(update={"title": title, "stub": (title, title)})
        for key, row in table.rows.items()
    }
    texts = dict.fromkeys(["title", "caption", "source"], title)
    shown = {"columns": columns, "rows": rows, "stub_headings": (title, title)}
    table = table.model_copy(update=texts | shown)
    preset = grid.preset.model_copy(update={"warning": title})
    return replace(grid, tables={"table1": table}, preset=preset)
