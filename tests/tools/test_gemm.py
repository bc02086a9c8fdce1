"""Operations of convolutions and matrix products are counted as by hand, in their own type."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.tools.bench.case import Case
from pointrend_repro.tools.bench.gemm import CountedProducts
from pointrend_repro.tools.bench.timing import measure_times

LEFT, RIGHT = torch.ones(3, 5), torch.ones(5, 7)
PRODUCT = 2 * 3 * 5 * 7
IMAGE, KERNELS = torch.ones(2, 4, 9, 9), torch.ones(6, 4, 3, 3)
CONVOLUTION = 2 * (2 * 6 * 4 * 4) * (4 * 3 * 3)  # 4 x 4 outputs at stride 2


def batches(matrix: Tensor) -> Tensor:
    return matrix.expand(2, *matrix.shape)


@pytest.mark.parametrize(
    ("run", "count"),
    [
        (lambda: LEFT @ RIGHT, PRODUCT),
        (lambda: torch.ones(3, 7).addmm_(LEFT, RIGHT), PRODUCT),
        (lambda: batches(LEFT) @ batches(RIGHT), 2 * PRODUCT),
        (lambda: F.linear(LEFT, RIGHT.t(), torch.ones(7)), PRODUCT),
        (lambda: F.conv2d(IMAGE, KERNELS, stride=2), CONVOLUTION),
        (lambda: F.conv2d(IMAGE, KERNELS[:, :2], stride=2, groups=2), CONVOLUTION // 2),
        (lambda: LEFT * 2 + LEFT.sum(), 0),
    ],
    ids=["matmul", "addmm_", "bmm", "linear", "conv2d", "groups", "no product"],
)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_products_are_counted(
    run: Callable[[], Tensor], count: int, mode: Callable[[], Any]
) -> None:
    with mode(), CountedProducts() as counted:
        run()
    assert counted.operations == ({torch.float32: count} if count else {})


def test_the_way_back_costs_twice_the_way_there() -> None:
    layer = nn.Linear(5, 7, bias=False)
    given = LEFT.clone().requires_grad_()
    with CountedProducts() as counted:
        layer(given).sum().backward()
    assert counted.operations == {torch.float32: 3 * PRODUCT}


def test_each_type_is_compared_with_products_of_its_own() -> None:
    def mixed() -> Tensor:
        return (LEFT @ RIGHT) + (LEFT.bfloat16() @ RIGHT.bfloat16())

    case = Case(
        settings={}, sides={"ours": lambda: mixed, "none": lambda: LEFT.sum}, compare=lambda *_: {}
    )
    times = measure_times(case, rounds=2, device="cpu", size="tiny")
    assert times.operations == {
        "ours": {torch.float32: PRODUCT, torch.bfloat16: PRODUCT},
        "none": {},
    }
    assert all(limit > 0 for limit in times.limits["ours"] + times.cpu_limits["ours"])
    assert times.limits["none"] == [0, 0]
