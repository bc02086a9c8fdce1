"""Which GPUs the installed torch has code for, told before the first kernel."""

import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.pipeline.steps.devices import device_name, runs_on

# torch.cuda.get_arch_list() of PyTorch's wheels for CUDA 13.0 and 12.6.
CUDA_13 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
CUDA_12_6 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]


@pytest.mark.parametrize(
    ("gpu", "capability", "in_13", "in_12_6"),
    [
        ("K80", (3, 7), False, False),
        ("V100", (7, 0), False, True),
        ("T4", (7, 5), True, True),
        ("L4", (8, 9), True, True),  # by the code for 8.6
        ("H200", (9, 0), True, True),
        ("B300", (10, 3), True, False),
    ],
)
def test_who_has_kernels(gpu: str, capability: tuple[int, int], in_13: bool, in_12_6: bool) -> None:
    assert (runs_on(capability, CUDA_13), runs_on(capability, CUDA_12_6)) == (in_13, in_12_6)


def test_code_that_the_driver_compiles_is_for_all_newer_gpus() -> None:
    assert runs_on((12, 1), ["sm_80", "compute_90"])
    assert not runs_on((8, 9), ["sm_90a", "compute_90"])


@pytest.mark.parametrize(("capability", "is_told"), [((7, 0), True), ((9, 0), False)])
def test_a_gpu_without_kernels_is_one_line(
    capability: tuple[int, int], is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: CUDA_13)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    if not is_told:
        assert device_name("cuda") == "cuda (Tesla V100)"
        return
    with pytest.raises(UserError, match=r"^Tesla V100: .* no kernels for this GPU.*sm_75") as told:
        device_name("cuda")
    assert "\n" not in str(told.value)
