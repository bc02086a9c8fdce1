"""A training gets no GPU that it cannot keep busy, and is refused where it has too few."""

import pytest

from pointrend_repro.base.errors import UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.resources import Machines
from pointrend_repro.pipeline.training_machines import require_machines, training_machines
from pointrend_repro.settings.of_family import AnyTrainingSettings


def settings_of(grid: Grid) -> dict[str, AnyTrainingSettings]:
    pairs = {(t.dataset, t.variant) for t in grid.trainings}
    return {variant: grid.training_settings(dataset, variant) for dataset, variant in pairs}


@pytest.mark.parametrize("paper", ["pointrend", "mask_rcnn", "sharpmask", "3dfuture"])
def test_every_training_of_a_paper_runs_on_a_node_of_eight(paper: str) -> None:
    for variant, settings in settings_of(load_grid("paper", papers=[paper])).items():
        machines = training_machines(settings, Machines(8))
        batch = settings.optimizer
        assert machines.total == min(8, batch.images_per_batch // batch.images_per_step)
        require_machines(variant, settings, machines)


def test_the_gpus_that_some_trainings_can_use() -> None:
    found = settings_of(load_grid("paper", papers=["sharpmask"]))
    gpus = {v: training_machines(s, Machines(8)).gpus for v, s in found.items()}
    assert gpus["sharpmask_deepmask_r50"] == 1  # 32 images in one pass
    assert gpus["sharpmask_faster_rcnn_vgg"] == 2
    assert gpus["sharpmask_fast_rcnn_r50"] == 8
    assert training_machines(found["sharpmask_fast_rcnn_r50"], Machines(2)) == Machines(2)


def test_nodes_that_would_idle_are_refused_before_the_queue() -> None:
    (settings,) = {
        s for v, s in settings_of(load_grid("paper")).items() if v == "mask_rcnn_r50_fpn"
    }
    machines = training_machines(settings, Machines(8, 2))
    with pytest.raises(UserError, match=r"gpus=8 nodes=2 are 16 processes, .* has work for 8"):
        require_machines("mask_rcnn_r50_fpn", settings, machines)
    require_machines("mask_rcnn_r50_fpn", settings, training_machines(settings, Machines(4, 2)))


def test_statistics_of_whole_batches_need_all_of_a_batch() -> None:
    found = settings_of(load_grid("paper", papers=["3dfuture"]))
    htc = found["future3d_htc_res2net101"]
    for gpus in (1, 2, 4):
        with pytest.raises(UserError, match=rf"sync_bn needs .* run it with gpus=8, not {gpus}"):
            require_machines("htc", htc, training_machines(htc, Machines(gpus)))
    require_machines("htc", htc, training_machines(htc, Machines(4, 2)))
    # Semantic models take several steps in one pass.
    semantic = settings_of(load_grid("paper"))["semantic_fpn_r101"]
    require_machines("semantic", semantic, training_machines(semantic, Machines(1)))
