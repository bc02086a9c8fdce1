from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pointrend_repro.data.paths import UserData
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import (
    Cost,
    Evaluation,
    Prediction,
    Training,
    data_today_path,
    dataset_log_path,
    dataset_path,
)

PAPER_ROWS = ("4conv_28", "pointrend_28", "pointrend_224")
NO_DATA = UserData()
LVIS = UserData(data_root=Path("folder"), lvis_annotations=Path("lvis.json"))

# Table 1's rows: the two of PointRend are one model, asked for masks in two resolutions.
WAYS = [
    ("mask_rcnn_r50_fpn", "default"),
    ("pointrend_r50_fpn", "res224"),
    ("pointrend_r50_fpn", "res28"),
]


# Data set, trials, metrics.
Part = tuple[str, int, list[str]]


def expected(dataset: str, trials: int, metrics: list[str]) -> list[Evaluation]:
    return [
        Evaluation(Prediction(Training(dataset, variant, trial), inference), metric)
        for variant in ("mask_rcnn_r50_fpn", "pointrend_r50_fpn")
        for trial in range(trials)
        for model, inference in WAYS
        if model == variant
        for metric in metrics
    ]


def table1(preset: str, user: UserData = NO_DATA) -> Grid:
    """The rows that the paper prints in Table 1: others must not change what these tests count."""
    grid = load_grid(preset, user=user)
    cells = (cell for cell in grid.cells if cell.table == "table1" and cell.row in PAPER_ROWS)
    return replace(grid, cells=tuple(cells))


BOTH = ["coco_ap", "lvis_ap_star"]
GRIDS: dict[str, tuple[Grid, list[Part]]] = {
    "smoke": (
        table1("smoke"),
        [("generated_cityscapes", 1, ["cityscapes_ap"]), ("generated_coco", 1, BOTH)],
    ),
    "tiny": (table1("tiny"), [("coco_folder", 1, ["coco_ap"])]),
    "tiny with LVIS": (table1("tiny", LVIS), [("coco_folder", 1, BOTH)]),
    # Section 4: "the median of 3 runs for COCO and 5 for Cityscapes".
    "paper": (table1("paper"), [("cityscapes", 5, ["cityscapes_ap"]), ("coco", 3, BOTH)]),
}


@pytest.mark.parametrize(("grid", "parts"), GRIDS.values(), ids=GRIDS)
def test_exactly_what_table_1_asks_for(grid: Grid, parts: list[Part]) -> None:
    evaluations = [e for part in parts for e in expected(*part)]
    assert sorted(grid.evaluations) == sorted(evaluations)
    assert grid.predictions == sorted({e.prediction for e in evaluations})
    assert grid.trainings == [
        Training(dataset, variant, trial)
        for dataset, trials, _ in parts
        for variant in ("mask_rcnn_r50_fpn", "pointrend_r50_fpn")
        for trial in range(trials)
    ]


def test_size_of_the_papers_table_1() -> None:
    grid = table1("paper")
    sizes = len(grid.trainings), len(grid.predictions), len(grid.evaluations)
    # 2 variants and 3 rows, 3 trials with 2 metrics on COCO, 5 with one on Cityscapes.
    assert sizes == (2 * (3 + 5), 3 * (3 + 5), 3 * (3 * 2 + 5))


def test_every_evaluation_belongs_to_one_cell_of_table_1() -> None:
    grid = table1("paper")
    shown = Counter(e for cell in grid.cells for e in cell.evaluations)
    assert set(shown.values()) == {1}
    assert set(shown) == set(grid.evaluations)


def test_every_cell_of_the_table_is_there_in_order() -> None:
    grid = load_grid("smoke")
    table = grid.tables["table1"]
    assert [(cell.row, cell.column) for cell in grid.cells if cell.table == "table1"] == [
        (row, column) for row in table.rows for column in table.columns
    ]


@pytest.mark.parametrize("preset", ["smoke", "tiny", "paper"])
def test_a_cell_runs_or_says_why_not(preset: str) -> None:
    for cell in load_grid(preset).cells:
        assert bool(cell.evaluations) != bool(cell.not_run_because)


def test_reasons_of_cells_that_do_not_run() -> None:
    reasons = {cell.column: cell.not_run_because for cell in table1("tiny").cells}
    assert reasons == {
        "coco_ap": "",
        "coco_ap_star": "no LVIS annotations given; name them by lvis_annotations=FILE",
        "cityscapes_ap": "not part of this preset",
    }


def test_trials_of_a_cell_differ_in_the_trial_alone() -> None:
    cell = next(cell for cell in table1("paper").cells if cell.row == "pointrend_224")
    assert [e.path for e in cell.evaluations] == [
        f"coco/pointrend_r50_fpn/trial{trial}/res224/coco_ap.json" for trial in (0, 1, 2)
    ]


def test_paths_of_results() -> None:
    """Section 3 of the design: results/<preset>/<dataset>/<variant>/trial<k>/<inference>/..."""
    prediction = Prediction(Training("coco", "a", 2), "res28")
    assert prediction.training.folder == "coco/a/trial2"
    assert prediction.folder == "coco/a/trial2/res28"
    assert Evaluation(prediction, "coco_ap").path == "coco/a/trial2/res28/coco_ap.json"


def test_names_of_what_steps_leave() -> None:
    """What finished results, and the scripts of users, are called."""
    prediction = Prediction(Training("coco", "a", 2), "res28")
    training = prediction.training
    assert training.model_path == "coco/a/trial2/model.safetensors"
    assert training.origin_path == "coco/a/trial2/model.origin.json"
    assert training.log_path == "coco/a/trial2/train.log"
    assert training.updates_path == "coco/a/trial2/log.jsonl"
    folder = "coco/a/trial2/res28"
    for metric, path, origin in (
        ("coco_ap", "predictions.json", "predictions.origin.json"),
        ("trimap_miou", "labels", "labels.origin.json"),
    ):
        evaluation = Evaluation(prediction, metric)
        assert prediction.path(evaluation.kind) == f"{folder}/{path}"
        assert prediction.origin_path(evaluation.kind) == f"{folder}/{origin}"
        assert evaluation.log_path == f"{folder}/{metric}.log"
        assert evaluation.shared_log_path == f"{folder}/evaluate.log"
    assert prediction.log_path == f"{folder}/predict.log"
    cost = Cost("a", "res28", "mask_head_cost")
    assert (cost.path, cost.log_path) == ("cost/a/res28.json", "cost/a/res28.log")
    assert (dataset_path("coco"), dataset_log_path("coco")) == (
        "coco/dataset.json",
        "coco/check.log",
    )
    assert data_today_path("coco") == "coco/data_today.json"


def test_a_prediction_is_of_the_kind_that_its_metrics_score() -> None:
    grid = load_grid("smoke")
    kinds = {grid.kind_of(e.prediction).name for e in grid.evaluations}
    assert kinds == {"instances", "label_maps"}
    assert all(grid.kind_of(e.prediction) == e.kind for e in grid.evaluations)


# Tables 1 to 5 of the paper, and Boundary AP: variant -> its ways to predict.
RESOLUTIONS = ["res28", "res56", "res112", "res224"]
POINTS = ["res224_n196", "res224_n3136", "res224_n12544"]
BOTH_DATA_SETS = {
    "mask_rcnn_r50_fpn": ["default"],
    "mask_rcnn_56_r50_fpn": ["default"],
    "sharpmask_r50_fpn": ["default"],
    "pointrend_r50_fpn": RESOLUTIONS + POINTS,  # Tables 1 and 3, and the mild bias of Table 4
    "pointrend_regular_r50_fpn": ["res224"],
    "pointrend_uniform_r50_fpn": ["res224"],
    "pointrend_heavy_r50_fpn": ["res224"],
}
ON_COCO = BOTH_DATA_SETS | {
    f"{head}_{trunk}_fpn_3x": [way]
    for head, way in (("mask_rcnn", "default"), ("pointrend", "res224"))
    for trunk in ("r50", "r101", "x101")
}
BOUNDARY_ROWS = {
    ("mask_rcnn_r50_fpn", "default"),
    ("mask_rcnn_56_r50_fpn", "default"),
    ("sharpmask_r50_fpn", "default"),
    ("pointrend_r50_fpn", "res28"),
    ("pointrend_r50_fpn", "res224"),
}


@pytest.mark.parametrize(
    ("preset", "coco", "cityscapes"),
    [
        ("paper", ("coco", 3), ("cityscapes", 5)),
        ("smoke", ("generated_coco", 1), ("generated_cityscapes", 1)),
    ],
)
def test_exactly_the_trainings_of_the_instance_tables(preset, coco, cityscapes):
    grid = load_grid(preset)
    instance = [t for t in grid.trainings if t.variant in ON_COCO]
    assert instance == sorted(
        Training(dataset, variant, trial)
        for (dataset, trials), variants in ((coco, ON_COCO), (cityscapes, BOTH_DATA_SETS))
        for variant in variants
        for trial in range(trials)
    )


def test_exactly_the_predictions_and_evaluations_of_the_instance_tables():
    grid = load_grid("paper")
    expected_evaluations = set()
    for variant, ways in ON_COCO.items():
        for way in ways:
            metrics = ["coco_ap", "lvis_ap_star"]
            metrics += ["boundary_ap"] if (variant, way) in BOUNDARY_ROWS else []
            for trial in range(3):
                prediction = Prediction(Training("coco", variant, trial), way)
                expected_evaluations |= {Evaluation(prediction, metric) for metric in metrics}
    for variant, ways in BOTH_DATA_SETS.items():
        for way in ways:
            for trial in range(5):
                prediction = Prediction(Training("cityscapes", variant, trial), way)
                expected_evaluations.add(Evaluation(prediction, "cityscapes_ap"))
    found = {e for e in grid.evaluations if e.prediction.training.variant in ON_COCO}
    assert found == expected_evaluations
    assert {e.prediction for e in found} == {
        p for p in grid.predictions if p.training.variant in ON_COCO
    }


def test_the_rows_of_table_3_share_one_training_a_trial():
    grid = load_grid("paper")
    sources = {e for c in grid.cells if c.table == "table3" for e in c.evaluations}
    trainings = {e.prediction.training for e in sources if isinstance(e, Evaluation)}
    assert len(trainings) == 3 + 5
    assert {t.variant for t in trainings} == {"pointrend_r50_fpn"}


def test_counts_need_no_training_and_are_the_same_in_every_preset():
    costs = {name: load_grid(name).costs for name in ("smoke", "tiny", "paper")}
    assert len(costs["paper"]) == 6
    assert costs["smoke"] == costs["tiny"] == costs["paper"]
