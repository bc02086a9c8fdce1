"""bf16: convolutions and linear layers in bfloat16, everything else as it was."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from child_processes import run_children
from comparing import assert_same_training, log_lines, newest_checkpoint

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.semantic import read_labelled_images
from pointrend_repro.modeling import box_head, precision, rpn
from pointrend_repro.modeling.mask_heads import pointrend
from pointrend_repro.modeling.precision import check_bfloat16, computing_in
from pointrend_repro.modeling.semantic import point_refine
from pointrend_repro.training.digest import training_digest
from pointrend_repro.training.loop import train
from small_experiment import read_train_split, small_settings
from small_semantic_experiment import make_streets, small_semantic_settings

Builder = Callable[..., Path]

BF16 = {"precision": "bf16", "images_per_step": 1}
FP32 = {"precision": "fp32", "images_per_step": 1}


@pytest.fixture
def root(coco_builder: Builder) -> Path:
    return coco_builder(train_images=5)


def train_detector(folder: Path, root: Path, head: str, optimizer: dict[str, Any]) -> Path:
    settings = small_settings(head, optimizer=optimizer)
    train(settings, read_train_split(root), seed=0, folder=folder, device="cpu")
    return folder


def record_dtypes(patch: pytest.MonkeyPatch) -> dict[str, set[torch.dtype]]:
    """Note in what convolutions and linear layers answer, and boxes and points are computed."""
    seen: dict[str, set[torch.dtype]] = {}

    def spy(module: Any, name: str, key: str) -> None:
        function = getattr(module, name)

        def noting(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            tensors = [t for t in (*args, result) if isinstance(t, torch.Tensor)]
            seen.setdefault(key, set()).update(t.dtype for t in tensors if t.is_floating_point())
            return result

        patch.setattr(module, name, noting)

    spy(rpn, "decode_boxes", "boxes")
    spy(rpn, "encode_boxes", "boxes")
    spy(box_head, "decode_boxes", "boxes")
    spy(box_head, "encode_boxes", "boxes")
    spy(pointrend, "sample_training_points", "points")
    spy(pointrend, "point_sample_in_boxes", "points")
    spy(pointrend, "binary_uncertainty", "points")
    spy(pointrend, "grid_loss", "points")
    spy(point_refine, "sample_training_points", "points")
    spy(point_refine, "point_sample", "points")
    spy(point_refine, "mean_cross_entropy", "losses")
    spy(torch.nn.Conv2d, "_conv_forward", "convolutions")
    return seen


@pytest.mark.parametrize("head", ["pointrend", "4conv"])
def test_a_detector_in_bf16(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    train_detector(tmp_path / "fp32", root, head, FP32)
    with monkeypatch.context() as patch:
        seen = record_dtypes(patch)
        train_detector(tmp_path / "bf16", root, head, BF16)
    assert torch.bfloat16 in seen["convolutions"]
    assert seen["boxes"] == {torch.float32}
    assert head == "4conv" or seen["points"] == {torch.float32}
    assert {t.dtype for t in newest_checkpoint(tmp_path / "bf16")["model"].values()} <= {
        torch.float32,
        torch.int64,
    }
    assert_near(tmp_path / "bf16", tmp_path / "fp32")


@pytest.mark.parametrize("decoder", ["deeplabv3", "semantic_fpn"])
def test_a_semantic_model_in_bf16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str
) -> None:
    dataset = read_labelled_images(make_streets(tmp_path / "data"), "train")
    seen: dict[str, set[torch.dtype]] = {}
    for name, optimizer in (("fp32", FP32), ("bf16", BF16)):
        settings = small_semantic_settings(decoder, optimizer=optimizer)
        with monkeypatch.context() as patch:
            seen = record_dtypes(patch)
            train(settings, dataset, seed=0, folder=tmp_path / name, device="cpu")
    assert torch.bfloat16 in seen["convolutions"]
    assert seen["points"] == seen["losses"] == {torch.float32}
    assert_near(tmp_path / "bf16", tmp_path / "fp32")


def assert_near(bf16: Path, fp32: Path) -> None:
    """The same losses, to bfloat16's two digits; later, other choices of proposals add up."""
    lines, wanted_lines = log_lines(bf16), log_lines(fp32)
    assert lines[0] != wanted_lines[0]
    assert lines[0] == pytest.approx(wanted_lines[0], rel=0.05, abs=1e-3)
    for line, wanted in zip(lines[:6], wanted_lines[:6], strict=True):
        assert line["loss"] == pytest.approx(wanted["loss"], rel=0.03)


def test_bf16_on_two_processes_is_bf16_on_one(tmp_path: Path, root: Path) -> None:
    for count in (1, 2):
        folder = tmp_path / str(count)
        run_children(
            train_detector, folder, root, "pointrend", BF16, count=count, log=tmp_path / "log.txt"
        )
    assert_same_training(tmp_path / "2", tmp_path / "1")  # two steps have one sum


def test_another_precision_is_another_training(root: Path) -> None:
    dataset = read_train_split(root)
    digests = {
        training_digest(small_settings(optimizer={"precision": p}), dataset, seed=0)
        for p in ("fp32", "bf16")
    }
    assert len(digests) == 2


@pytest.fixture
def no_bf16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU and a CPU without it; nothing that an earlier test was told is remembered."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")
    monkeypatch.setattr(precision, "cpu_computes_in_bfloat16", lambda: False)
    check_bfloat16.cache_clear()
    yield
    check_bfloat16.cache_clear()


@pytest.mark.usefixtures("no_bf16")
def test_a_gpu_without_bf16_is_refused() -> None:
    device = torch.device("cuda", 0)
    computing_in("fp32", device)
    with pytest.raises(UserError, match=r"bf16: Tesla V100 does not compute in it; set .* to fp32"):
        check_bfloat16(device)
    with pytest.raises(UserError, match="Tesla V100"):
        computing_in("bf16", device)


@pytest.mark.usefixtures("no_bf16")
def test_a_cpu_without_bf16_says_once_that_it_is_slow(caplog: pytest.LogCaptureFixture) -> None:
    device = torch.device("cpu")
    for asked in ("fp32", None):
        with computing_in(asked, device):
            pass
    assert not caplog.messages
    for _ in range(2):
        with computing_in("bf16", device):
            pass
    assert [message for message in caplog.messages if "emulates" in message] == caplog.messages
    assert len(caplog.messages) == 1
