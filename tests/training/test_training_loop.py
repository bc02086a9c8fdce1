import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import assert_same, assert_same_training, checkpoints, log_lines

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.instances import TrainingSettings
from pointrend_repro.training import initial, loop
from pointrend_repro.training.schedule import learning_rate
from small_experiment import read_train_split, small_settings

LAST = "checkpoints/iter_00000008.pt"  # small_settings() trains for 8 updates

Builder = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is most of the time otherwise."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def dataset(coco_builder: Builder) -> CocoDataset:
    return read_train_split(coco_builder(train_images=5))


def run(
    folder: Path, dataset: CocoDataset, settings: TrainingSettings | None = None, seed: int = 0
) -> MaskRCNN:
    return loop.train(settings or small_settings(), dataset, seed=seed, folder=folder, device="cpu")


def saved(folder: Path, name: str = LAST) -> dict[str, Any]:
    return torch.load(folder / name, weights_only=True)


class Interrupted(Exception):  # noqa: N818
    pass


def run_until(
    iteration: int, folder: Path, dataset: CocoDataset, settings: TrainingSettings | None = None
) -> None:
    """Train, but let the update of an iteration fail."""
    update = loop.update

    def fail_at(state: Any, *args: Any) -> Any:
        if state.iteration == iteration:
            raise Interrupted
        return update(state, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update", fail_at)
        with pytest.raises(Interrupted):
            run(folder, dataset, settings)


@pytest.mark.parametrize(
    ("head", "iteration"), [("pointrend", 1), ("pointrend", 3), ("pointrend", 7), ("4conv", 4)]
)
def test_interrupted_and_continued_is_uninterrupted(
    tmp_path: Path, dataset: CocoDataset, head: str, iteration: int
) -> None:
    settings = small_settings(head)  # saves after 3, 6 and 8 updates
    whole = run(tmp_path / "whole", dataset, settings)
    run_until(iteration, tmp_path / "cut", dataset, settings)
    torch.manual_seed(12345)  # whatever another process would start with
    continued = run(tmp_path / "cut", dataset, settings)
    assert_same(continued.state_dict(), whole.state_dict())
    assert_same_training(tmp_path / "cut", tmp_path / "whole")


def test_momentum_matters_to_these_tests(tmp_path: Path, dataset: CocoDataset) -> None:
    run(tmp_path, dataset)
    state = saved(tmp_path)
    momenta = [slot["momentum_buffer"] for slot in state["optimizer"]["state"].values()]
    assert len(momenta) > 10
    assert sum(bool(momentum.any()) for momentum in momenta) > 10


def test_every_iteration_draws_anew(tmp_path: Path, dataset: CocoDataset) -> None:
    """RoIs and points, of one image that is never augmented by weights that never change."""
    still = {"base_lr": 1e-30, "warmup_iters": 0, "images_per_batch": 1}
    plain = {"train_short_edges_px": [48], "flip_probability": 0.0}
    settings = small_settings(optimizer=still, input=plain)
    run(tmp_path, CocoDataset(dataset.categories, dataset.images[:1]), settings)
    assert len({line["loss"] for line in log_lines(tmp_path)}) == 8


def test_interrupted_twice(tmp_path: Path, dataset: CocoDataset) -> None:
    run(tmp_path / "whole", dataset)
    for iteration in (4, 7):
        run_until(iteration, tmp_path / "cut", dataset)
    run(tmp_path / "cut", dataset)
    assert_same_training(tmp_path / "cut", tmp_path / "whole")


def test_interrupted_while_a_checkpoint_is_written(tmp_path: Path, dataset: CocoDataset) -> None:
    run(tmp_path / "whole", dataset)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run_until(5, tmp_path / "cut", dataset)
    with pytest.MonkeyPatch.context() as patch:
        write = Path.write_bytes
        # Half of the checkpoint reaches the disk.
        patch.setattr(Path, "write_bytes", lambda p, c: (write(p, c[: len(c) // 2]), full()))
        with pytest.raises(UserError, match=r"iter_00000006\.pt: cannot be written: No space"):
            run(tmp_path / "cut", dataset)
    assert checkpoints(tmp_path / "cut") == ["iter_00000003.pt"]
    run(tmp_path / "cut", dataset)
    assert_same_training(tmp_path / "cut", tmp_path / "whole")


def test_damaged_newest_checkpoint(
    tmp_path: Path, dataset: CocoDataset, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path / "whole", dataset)
    run(tmp_path / "cut", dataset)
    newest = tmp_path / "cut" / LAST
    newest.write_bytes(newest.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        run(tmp_path / "cut", dataset)
    assert "iter_00000008.pt cannot be read" in caplog.text
    assert_same_training(tmp_path / "cut", tmp_path / "whole")


def test_finished_training_is_not_trained_again(
    tmp_path: Path, dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, dataset)
    monkeypatch.setattr(loop, "update", None)
    second = run(tmp_path, dataset)
    assert_same(second.state_dict(), first.state_dict())
    assert len(log_lines(tmp_path)) == 8


def test_other_settings_seed_or_data_start_afresh(tmp_path: Path, dataset: CocoDataset) -> None:
    changes: list[dict[str, Any]] = [
        {"settings": small_settings(optimizer={"base_lr": 0.02})},
        {"settings": small_settings("4conv")},
        {"seed": 1},
        {"dataset": CocoDataset(dataset.categories, dataset.images[1:])},
    ]
    for number, change in enumerate(changes):
        both, alone = tmp_path / f"both{number}", tmp_path / f"alone{number}"
        run(both, dataset)
        run(both, **{"dataset": dataset} | change)
        run(alone, **{"dataset": dataset} | change)
        assert_same(saved(both), saved(alone))
        (aside,) = both.glob("checkpoints.*")
        assert (aside / "iter_00000008.pt").is_file()


def test_how_often_it_speaks_and_saves_changes_nothing_else(
    tmp_path: Path, dataset: CocoDataset
) -> None:
    run(tmp_path / "whole", dataset)
    run_until(4, tmp_path / "cut", dataset)
    other = {"log_every_iters": 3, "checkpoint_every_iters": 2, "loader_workers": 2}
    run(tmp_path / "cut", dataset, small_settings(run=other))
    assert_same(saved(tmp_path / "cut"), saved(tmp_path / "whole"))
    # Three iterations by the old rule, then the third after and the last.
    assert [line["iteration"] for line in log_lines(tmp_path / "cut")] == [0, 1, 2, 5, 7]


def test_seeds_differ_and_a_seed_repeats(tmp_path: Path, dataset: CocoDataset) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, dataset, seed=seed)
    assert_same_training(tmp_path / "b", tmp_path / "a")
    assert log_lines(tmp_path / "c")[0]["loss"] != log_lines(tmp_path / "a")[0]["loss"]


def test_log_says_rate_and_losses(tmp_path: Path, dataset: CocoDataset) -> None:
    settings = small_settings()
    run(tmp_path, dataset, settings)
    for iteration, line in enumerate(log_lines(tmp_path)):
        assert line["iteration"] == iteration
        assert line["lr"] == learning_rate(iteration, settings.optimizer, settings.schedule)
        parts = [value for key, value in line.items() if key.startswith("loss_")]
        assert len(parts) == 6
        assert line["loss"] == pytest.approx(sum(parts), rel=1e-6)


def test_update_is_sgd_with_momentum_and_weight_decay(tmp_path: Path, dataset: CocoDataset) -> None:
    """The paper's optimizer (supplement, section 1), written out, on a model of one weight."""
    settings = small_settings(optimizer={"weight_decay": 0.1, "momentum": 0.5})
    gradients = torch.linspace(-1.0, 1.0, 8)

    class OneWeight(torch.nn.Module):
        def __init__(self, *_: object, **__: object) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(2.0))
            self.calls = 0

        def start_iteration(self, *_: object) -> None:
            pass

        def forward(self, *_: object) -> dict[str, torch.Tensor]:
            self.calls += 1
            return {"loss_one": self.weight * gradients[self.calls - 1]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial, "build_model", OneWeight)
        model = run(tmp_path, dataset, settings)
    weight, velocity = 2.0, 0.0
    for iteration, gradient in enumerate(gradients.tolist()):
        velocity = 0.5 * velocity + gradient + 0.1 * weight
        weight -= learning_rate(iteration, settings.optimizer, settings.schedule) * velocity
    assert float(model.state_dict()["weight"]) == pytest.approx(weight, rel=1e-5)


def test_loss_that_is_not_finite_stops_and_names_the_images(
    tmp_path: Path, dataset: CocoDataset
) -> None:
    settings = small_settings(optimizer={"base_lr": 1e12, "warmup_iters": 0})
    with pytest.raises(UserError, match=r"iteration \d+: the loss is not finite") as told:
        run(tmp_path, dataset, settings)
    assert "lower optimizer.base_lr" in str(told.value)
    assert "on images [" in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / LAST).exists()


def test_only_images_with_objects_are_trained_on(
    tmp_path: Path, coco_builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mutate(document: dict[str, Any]) -> None:
        for annotation in document["annotations"]:
            annotation["iscrowd"] = int(annotation["image_id"] == 2)
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] != 3]

    seen: set[int] = set()
    update = loop.update

    def spy(state: Any, batch: Any, *args: Any) -> Any:
        seen.update(batch.image_ids)
        return update(state, batch, *args)

    monkeypatch.setattr(loop, "update", spy)
    run(tmp_path / "out", read_train_split(coco_builder(train_images=5, mutate=mutate)))
    assert seen == {1, 4, 5}


def test_data_set_without_objects_is_refused(tmp_path: Path, coco_builder: Builder) -> None:
    root = coco_builder(mutate=lambda document: document["annotations"].clear())
    with pytest.raises(UserError, match="nothing to train on"):
        run(tmp_path / "out", read_train_split(root))
