"""A batch has the same losses and gradients on any number of processes."""

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import set_seed
from child_processes import Children, command, rank, run_children, train_arguments
from comparing import (
    assert_close_training,
    assert_same_training,
    checkpoints,
    log_lines,
    newest_checkpoint,
)
from experiment import before_update

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.data.batches import MicroBatches, batch_order, training_batches
from pointrend_repro.data.examples import training_example
from pointrend_repro.data.semantic import read_labelled_images
from pointrend_repro.modeling.sync_batch_norm import CpuSyncBatchNorm
from pointrend_repro.training.loop import train
from pointrend_repro.training.processes import Processes
from small_experiment import read_train_split, small_settings, write_small_config
from small_semantic_experiment import make_streets, small_semantic_settings

Builder = Callable[..., Path]

FOUR = {"total_iters": 4, "lr_drop_iters": []}
SIX = {"total_iters": 6, "lr_drop_iters": []}
FIVE_IMAGES = {"images_per_batch": 5, "images_per_step": 2}  # three steps, the last of one image

# Trainings part where rounding decides: a narrow choice of proposals or points, the sign of a
# distance in an L1 loss. Which of these detectors' trainings do that depends on the CPU. With a
# wrong gradient all of them part.
SEEDS = (0, 1, 2)


@pytest.fixture
def root(coco_builder: Builder) -> Path:
    return coco_builder(train_images=7)


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_streets(tmp_path_factory.mktemp("s") / "data")


def train_detector(folder: Path, root: Path, settings: Any, seed: int = SEEDS[0]) -> None:
    train(settings, read_train_split(root), seed=seed, folder=folder, device="cpu")


def train_semantic(folder: Path, root: Path, settings: Any) -> None:
    dataset = read_labelled_images(root, "train")
    train(settings, dataset, seed=0, folder=folder, device="cpu")


def train_on(folder: Path, count: int, function: Any, *args: Any) -> Path:
    """Train on some processes and return the folder."""
    run_children(function, folder, *args, count=count, log=folder / "output.txt")
    return folder


def close_detectors(tmp_path: Path, root: Path, settings: Any) -> tuple[Path, Path]:
    """Return the folders of one seed's trainings on one process and on two, which agree."""

    def pair(seed: int) -> tuple[Path, Path]:
        one, two = (
            train_on(tmp_path / f"{seed}_{n}", n, train_detector, root, settings, seed)
            for n in (1, 2)
        )
        return one, two

    return close_with_a_seed(pair)


def close_with_a_seed(pair: Callable[[int], tuple[Path, Path]]) -> tuple[Path, Path]:
    """Return the folders of a seed's two trainings, the first whose trainings agree."""
    for seed in SEEDS:
        one, two = pair(seed)
        with contextlib.suppress(AssertionError):
            assert_close_training(two, one)
            return one, two
    raise AssertionError(f"trainings part with each of the seeds {SEEDS}")


# --- the same losses and weights -------------------------------------------------------------


@pytest.mark.parametrize("head", ["pointrend", "4conv"])
def test_a_detector_on_two_processes_is_one_on_one(tmp_path: Path, root: Path, head: str) -> None:
    settings = small_settings(head, optimizer=FIVE_IMAGES, schedule=FOUR)
    one, _ = close_detectors(tmp_path, root, settings)
    assert len({line["loss"] for line in log_lines(one)}) == 4


def test_sharpmask_whose_stages_train_different_parts(tmp_path: Path, root: Path) -> None:
    values = small_settings().model_dump()
    values["model"]["mask_head"] = {
        "kind": "sharpmask",
        "reduced_channels": 8,
        "bottleneck_channels": 16,
        "encoding_channels": 16,
        "skip_channels": 8,
        "coarse_stage_share": 0.5,
    }
    values |= {"schedule": FOUR, "optimizer": values["optimizer"] | FIVE_IMAGES}
    settings = type(small_settings()).model_validate(values)
    _, two = close_detectors(tmp_path, root, settings)
    assert ["loss_mask_coarse" in line for line in log_lines(two)] == [True, True, False, False]


@pytest.mark.parametrize("finest_level", ["p2", "p3"])
def test_semantic_fpn(tmp_path: Path, streets: Path, finest_level: str) -> None:
    """Without PointRend, nobody looks at p2 of a decoder that begins at p3."""
    settings = small_semantic_settings(
        "semantic_fpn", pointrend=finest_level == "p2", optimizer=FIVE_IMAGES, schedule=FOUR
    )
    values = settings.model_dump()
    values["model"]["decoder"]["finest_level"] = finest_level
    settings = type(settings).model_validate(values)
    one, two = (train_on(tmp_path / str(n), n, train_semantic, streets, settings) for n in (1, 2))
    assert_close_training(two, one)


def deeplab_settings() -> Any:
    """With all that looks at several images: SyncBN, hard pixels, dropout, points."""
    values = small_semantic_settings(optimizer=FIVE_IMAGES, schedule=FOUR).model_dump()
    values["model"]["backbone"]["norm"] = "sync_bn"
    values["model"]["decoder"] |= {
        "norm": "sync_bn",
        "hard_pixel_fraction": 0.3,
        "dropout": 0.5,
        "image_pooling_px": None,
    }
    return type(small_semantic_settings()).model_validate(values)


def test_deeplabv3_with_synchronised_batch_norm(tmp_path: Path, streets: Path) -> None:
    settings = deeplab_settings()
    one, two = (train_on(tmp_path / str(n), n, train_semantic, streets, settings) for n in (1, 2))
    # Statistics are summed in another order, and what is near zero is divided by them.
    assert_close_training(two, one, relative=1e-4)
    names = [name for name in newest_checkpoint(two)["model"] if "running_var" in name]
    assert len(names) > 20


def synchronised(out: Path, images: torch.Tensor, weights: torch.Tensor) -> None:
    """One of two unequal parts of a batch through SyncBN, forward and backward."""
    own = slice(0, 3) if rank() == 0 else slice(3, 4)
    torch.distributed.init_process_group("gloo")
    norm = CpuSyncBatchNorm(5)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 1.5, 5))
    x = images[own].clone().requires_grad_()
    y = norm(x)
    (y * weights[own]).sum().backward()
    assert norm.weight.grad is not None
    results = {"y": y.detach(), "x_grad": x.grad, "grad": norm.weight.grad}
    torch.save(results | norm.state_dict(), out / f"{rank()}.pt")


def test_sync_batch_norm_of_two_processes_is_batch_norm_of_all(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 5, 6, 7, generator=generator) * 3 + 1
    weights = torch.randn(4, 5, 6, 7, generator=generator)
    run_children(synchronised, tmp_path, images, weights, count=2, log=tmp_path / "output.txt")
    found = [torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (0, 1)]
    norm = torch.nn.BatchNorm2d(5)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 1.5, 5))
    x = images.clone().requires_grad_()
    y = norm(x)
    (y * weights).sum().backward()
    assert norm.weight.grad is not None
    assert x.grad is not None
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(torch.cat([f["y"] for f in found]), y.detach(), **close)
    torch.testing.assert_close(torch.cat([f["x_grad"] for f in found]), x.grad, **close)
    torch.testing.assert_close(found[0]["grad"] + found[1]["grad"], norm.weight.grad, **close)
    for each in found:
        for name, value in norm.state_dict().items():
            torch.testing.assert_close(each[name], value, **close)


def test_images_whose_objects_vanish_on_one_process(tmp_path: Path, coco_builder: Builder) -> None:
    """A step without any object has losses and gradients all the same: nobody waits for ever."""

    def shrink(document: dict[str, Any]) -> None:
        for annotation in document["annotations"]:
            if annotation["image_id"] % 2:  # nothing is left of these when they are drawn
                x, y = annotation["bbox"][:2]
                annotation["segmentation"] = [[x, y, x + 1e-3, y, x + 1e-3, y + 1e-3]]

    root = coco_builder(train_images=4, mutate=shrink)
    settings = small_settings(optimizer={"images_per_batch": 2, "images_per_step": 1})
    _, two = close_detectors(tmp_path, root, settings)
    losses = [line["loss_mask"] for line in log_lines(two)]
    assert 0 in losses or min(losses) < 0.75 * max(losses)


def test_steps_add_up_to_the_mean_over_the_batch(tmp_path: Path, root: Path) -> None:
    """Losses of a batch are those of its steps by their numbers of images, on one process too."""
    whole = small_settings(optimizer=FIVE_IMAGES, schedule=FOUR)
    first = log_lines(train_on(tmp_path / "whole", 1, train_detector, root, whole))[0]
    dataset = read_train_split(root)
    set_seed(SEEDS[0])
    model = build_model(whole.model, num_classes=3).train()
    batches = training_batches(
        dataset.images,
        partial(training_example, settings=whole.input),
        micro_batches=MicroBatches(5, 2),
        seed=SEEDS[0],
        iterations=range(1),
        workers=0,
    )
    total = 0.0
    for step in next(batches).micro_batches:
        torch.manual_seed(step.seed)
        losses = model(step.images, step.targets)
        total += float(sum(losses.values()).detach()) * len(step.images) / 5
    assert first["loss"] == pytest.approx(total, rel=1e-6)


# --- continued on another number -------------------------------------------------------------


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_continued_on_another_number_of_processes(
    tmp_path: Path, root: Path, first: int, then: int
) -> None:
    settings = small_settings(optimizer=FIVE_IMAGES, schedule=SIX)

    def pair(seed: int) -> tuple[Path, Path]:
        train_args = (root, settings, seed)
        whole = train_on(tmp_path / f"whole_{seed}", 1, train_detector, *train_args)
        cut = tmp_path / f"cut_{seed}"
        log = cut / "output.txt"
        children = Children(train_dying_at, 4, cut, *train_args, count=first, log=log)
        assert all(children.wait())
        assert checkpoints(cut) == ["iter_00000003.pt"]
        return whole, train_on(cut, then, train_detector, *train_args)

    close_with_a_seed(pair)


def train_dying_at(iteration: int, folder: Path, root: Path, settings: Any, seed: int) -> None:
    for number in (0, 1):
        before_update(iteration, interrupt, of_rank=number)
    train_detector(folder, root, settings, seed)


def interrupt() -> None:
    raise KeyboardInterrupt


# --- what only one process does, and what ends all --------------------------------------------


def commands(tmp_path: Path, root: Path, **optimizer: Any) -> list[str]:
    config = tmp_path / "config"
    if not config.exists():
        changes = {"images_per_batch": 4, "images_per_step": 2} | optimizer
        write_small_config(config, optimizer=changes, schedule=FOUR)
    return train_arguments(config, root, tmp_path / "out")


def test_process_0_writes_and_says_on_how_many(tmp_path: Path, root: Path) -> None:
    sizes = {"images_per_batch": 4, "images_per_step": 2}
    run = {"samples": 2}
    write_small_config(tmp_path / "config", optimizer=sizes, schedule=FOUR, run=run)
    arguments = commands(tmp_path, root)
    run_children(command, arguments, count=2, log=tmp_path / "output.txt")
    out = tmp_path / "out"
    assert len(log_lines(out)) == 4
    assert len(list((out / "samples").iterdir())) == 2
    assert len(list((out / "tensorboard").iterdir())) == 1
    record = json.loads((out / "model.origin.json").read_text())["train"]
    assert record["world_size"] == 2
    assert record["device"].startswith("2 x cpu (")
    assert record["settings"]["optimizer"]["images_per_batch"] == 4
    assert record["settings"]["optimizer"]["precision"] == "fp32"
    one = tmp_path / "one"
    run_children(command, [*arguments[:-1], str(one / "model.safetensors")], log=tmp_path / "1.txt")
    # Two halves have one sum, in whatever order.
    assert_same_training(out, one)
    assert (out / "model.safetensors").read_bytes() == (one / "model.safetensors").read_bytes()
    assert json.loads((one / "model.origin.json").read_text())["train"]["world_size"] == 1


def assert_refused(
    tmp_path: Path, arguments: list[str], *told: str, count: int = 2, accident: Any = None
) -> None:
    """One line of one process, and the same exit code of all."""
    children = Children(command, arguments, accident, count=count, log=tmp_path / "output.txt")
    assert children.wait() == [2] * count, children.output
    (line,) = children.told
    for part in told:
        assert part in line
    assert "Traceback" not in children.output


def test_more_processes_than_steps(tmp_path: Path, root: Path) -> None:
    arguments = commands(tmp_path, root, images_per_step=4)
    assert_refused(tmp_path, arguments, "optimizer.images_per_step 4", "start 1 at most")


def test_an_image_that_only_the_second_process_reads(tmp_path: Path, root: Path) -> None:
    arguments = commands(tmp_path, root)
    # Of the first batch; process 1 has its last two images.
    order = next(batch_order([True] * 7, MicroBatches(4, 2), seed=0))
    broken = f"{order[3] + 1:012d}.jpg"
    (root / "train2017" / broken).write_bytes(b"no image")
    assert_refused(tmp_path, arguments, broken)


def test_a_data_set_that_is_missing_is_told_once(tmp_path: Path, root: Path) -> None:
    arguments = commands(tmp_path, root)
    (root / "annotations/instances_train2017.json").unlink()
    assert_refused(tmp_path, arguments, "instances_train2017.json")


def test_an_error_before_the_processes_meet_is_told_once(tmp_path: Path, root: Path) -> None:
    arguments = commands(tmp_path, root)
    arguments[arguments.index("--variant") + 1] = "nonsense"
    assert_refused(tmp_path, arguments, "'nonsense'")


def test_a_gpu_that_only_the_second_process_cannot_use(tmp_path: Path, root: Path) -> None:
    """The first does not wait for it in vain, to share a model."""
    arguments = commands(tmp_path, root, precision="bf16")
    assert_refused(tmp_path, arguments, "no bfloat16", accident=the_second_gpu_is_older)


def the_second_gpu_is_older() -> None:
    from pointrend_repro.training import initial

    def check(_: torch.device) -> None:
        if rank() == 1:
            raise UserError("no bfloat16")

    initial.check_bfloat16 = check  # type: ignore[assignment]


def test_fewer_gpus_than_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="4 processes on this machine, which has 2 GPUs"):
        Processes("cuda")


def test_batch_norm_of_a_detector_needs_the_whole_batch(tmp_path: Path, root: Path) -> None:
    """Its steps are padded to sizes of their own, so they cannot be taken together."""
    values = small_settings(optimizer=FIVE_IMAGES).model_dump()
    values["model"]["backbone"]["norm"] = "bn"
    settings = type(small_settings()).model_validate(values)
    with pytest.raises(UserError, match=r"set optimizer\.images_per_step to 5"):
        train_detector(tmp_path / "out", root, settings)


def test_batch_norm_of_one_process_alone_is_refused(tmp_path: Path, streets: Path) -> None:
    settings = small_semantic_settings(optimizer={"images_per_step": 1})
    values = settings.model_dump()
    values["model"]["backbone"]["norm"] = "bn"
    settings = type(settings).model_validate(values)
    children = Children(
        train_semantic, tmp_path / "out", streets, settings, count=2, log=tmp_path / "output.txt"
    )
    assert all(children.wait())
    assert "set backbone.norm and decoder.norm to sync_bn" in children.output
