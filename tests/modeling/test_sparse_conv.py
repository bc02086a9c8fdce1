"""The convolution at some cells is the convolution, gradients included."""

import torch
from torch import nn

from pointrend_repro.modeling.sparse_conv import conv_at_cells


def test_outputs_and_gradients_are_those_of_the_dense_convolution() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3, padding=1)
    features = torch.randn(2, 3, 4, 6, requires_grad=True)
    corners_and_others = torch.tensor([0, 5, 18, 23, 24, 47, 9, 33, 9])  # one of them twice
    sparse = conv_at_cells(conv, features, corners_and_others)
    dense = conv(features).permute(0, 2, 3, 1).flatten(0, 2)[corners_and_others]
    torch.testing.assert_close(sparse, dense)
    wanted_from = [features, conv.weight, conv.bias]
    pull = torch.randn_like(dense)
    for ours, wanted in zip(
        torch.autograd.grad(sparse, wanted_from, pull),
        torch.autograd.grad(dense, wanted_from, pull),
        strict=True,
    ):
        torch.testing.assert_close(ours, wanted)


def test_no_cells_give_no_outputs_and_gradients_of_zero() -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1)
    none = conv_at_cells(conv, torch.randn(1, 3, 4, 4), torch.zeros(0, dtype=torch.long))
    assert none.shape == (0, 5)
    none.sum().backward()
    assert conv.weight.grad is not None
    assert not conv.weight.grad.any()
