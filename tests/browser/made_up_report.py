"""Whole reports with made-up numbers and pictures, in a temporary folder."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from made_up_metrics import fill_whole_grid
from PIL import Image, ImageFilter

from pointrend_repro.base.files import write_json
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.pictures.thinning import write_curves
from pointrend_repro.reporting.report import write_report

ORIGIN = {
    "dataset": "coco",
    "image_ids": [1, 2, 3, 4],
    "models": [
        {"file": "m.safetensors", "settings_digest": "a", "git_commit": None, "code_digest": "b"}
    ],
    "command": "pointrend-repro picture",
    "git_commit": "0123456789abcdef",
    "code_digest": "abc",
}
PARTS = ["rpn_objectness", "rpn_box", "cls", "box", "mask", "mask_point"]


def write_made_up_report(
    folder: Path, grid: Grid, *, lines_a_log: int = 200, name: str = "a thing"
) -> Path:
    """Fill a preset's folders and return its page.

    Args:
        name: of the objects that the pictures show.
    """
    results_dir, reports_dir = folder / "results" / grid.name, folder / "reports" / grid.name
    fill_whole_grid(results_dir, grid)
    write_metrics(grid, results_dir)
    for dataset in grid.datasets:
        write_json(results_dir / dataset / "dataset.json", {"val": {"images": 5000}})
    for index, training in enumerate(grid.trainings):
        text = "".join(_log_line(i, lines_a_log, index) for i in range(lines_a_log))
        path = results_dir / training.folder / "log.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    of_first = results_dir / grid.trainings[0].samples_folder
    of_first.mkdir()
    photograph(1200, 200).save(of_first / "after_00000100.jpg")
    write_curves(grid, results_dir, reports_dir / "pictures" / "curves.csv")
    _write_figures(grid, reports_dir / "figures")
    _write_pictures(grid, reports_dir / "pictures", name)
    write_report(grid, results_dir, reports_dir)
    return reports_dir / "index.html"


def shortened(grid: Grid) -> Grid:
    """The preset with tables that are measured and counted, of instances and of label maps."""
    rows = {
        "table1": ["4conv_28", "pointrend_224"],
        "table2": ["4conv_28", "4conv_224", "pointrend_224"],
        "table7": ["p2"],
    }
    tables = {}
    for name, wanted in rows.items():
        table = grid.tables[name]
        kept = {row: table.rows[row] for row in wanted}
        tables[name] = table.model_copy(update={"rows": kept})
    cells = tuple(cell for cell in grid.cells if cell.row in rows.get(cell.table, []))
    return replace(grid, tables=tables, cells=cells)


def _log_line(i: int, count: int, seed: int) -> str:
    """A loss that falls and trembles; nothing in it is random."""
    numbers = {"iteration": i * 450, "lr": 0.02 if i < 0.7 * count else 0.002}
    for k, part in enumerate(PARTS):
        tremble = (i * 7919 + seed * 104729 + k * 1299709) % 1000 / 5000
        numbers[f"loss_{part}"] = 0.5 / (1 + i / 40) + tremble
    losses = [value for key, value in numbers.items() if key.startswith("loss_")]
    return json.dumps(numbers | {"loss": sum(losses), "elapsed_s": i}) + "\n"


def photograph(width: int, height: int) -> Image.Image:
    """Noise that compresses about as badly as a photograph."""
    noise = Image.effect_noise((width, height), 90).filter(ImageFilter.GaussianBlur(1.5))
    return noise.convert("RGB")


def _write_figures(grid: Grid, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture = photograph(1400, 800)
    for figure in grid.preset.figures:
        picture.save(folder / f"{figure}.png", compress_level=1)
        words = {"title": figure, "caption": "A caption.", "alternative_text": "A photograph."}
        of_it = {"preset": grid.name, "figure": figure, "warning": grid.preset.warning}
        write_json(folder / f"{figure}.json", ORIGIN | words | of_it)


def _write_pictures(grid: Grid, folder: Path, name: str) -> None:
    common = ORIGIN | {"preset": grid.name, "caption": "A caption.", "warning": None}
    write: dict[str, Callable[[], dict[str, Any]]] = {
        "comparison": lambda: {
            "title": "Compared",
            "baseline_label": "4× conv",
            "pointrend_label": "PointRend",
            "objects": [
                {"name": name, "image_id": k, "baseline": _image(600), "pointrend": _image(600)}
                for k in range(4)
            ],
        },
        "subdivision": lambda: {
            "title": "Subdivided",
            "name": name,
            "steps": [
                {"side": 7 * 2**k, "points": min((7 * 2**k) ** 2, 784), "grid": _image(520)}
                | {"mask": _image(520)}
                for k in range(6)
            ],
        },
    }
    for picture in grid.drawn_pictures:
        write_json(folder / f"{picture}.json", common | {"picture": picture} | write[picture]())


def _image(side: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    photograph(side, side).save(buffer, "WEBP", quality=80)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    size = {"width": side, "height": side, "alternative_text": "A photograph."}
    return {"source": f"data:image/webp;base64,{text}"} | size
