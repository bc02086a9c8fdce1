"""The point head on projected maps: the published layers, applied to each point's own inputs."""

import pytest
import torch
import torch.nn.functional as F
from mask_head_cases import BOXES, CHANNELS, LABELS, NUM_CLASSES, mask_head, pyramid
from torch import Tensor

from pointrend_repro.modeling.mask_heads.point_head import PointHead
from pointrend_repro.modeling.points import point_sample
from pointrend_repro.settings.instances import InferenceSettings


def published(head: PointHead, fine: Tensor, coarse: Tensor, labels: Tensor) -> Tensor:
    x = fine
    for layer in head.layers:
        x = F.relu(F.conv1d(torch.cat([x, coarse], 1), layer.weight, layer.bias))
    every_class = F.conv1d(torch.cat([x, coarse], 1), head.predictor.weight, head.predictor.bias)
    return every_class[torch.arange(len(labels)), labels]


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fine-grained features (3, C, 11), coarse logits (3, K, 7, 7), labels, points."""
    generator = torch.Generator().manual_seed(0)
    fine = torch.randn(3, CHANNELS, 11, generator=generator)
    coarse = torch.randn(3, NUM_CLASSES, 7, 7, generator=generator)
    points = torch.rand(3, 11, 2, generator=generator)
    points[0, :4] = torch.tensor([[0.0, 0], [1, 1], [0.01, 0.5], [0.5, 0.99]])  # at the border
    return fine, coarse, torch.tensor([3, 0, 3]), points


def own_class(head: PointHead, fine: Tensor, coarse: Tensor, labels: Tensor, points: Tensor):
    first = F.linear(fine.transpose(1, 2), head.fine_weight).flatten(0, 1)
    return head(first, head.project_coarse(coarse, labels), points)


def test_logits_are_those_of_the_published_layers() -> None:
    head = mask_head("pointrend").point_head
    fine, coarse, labels, points = inputs()
    got = own_class(head, fine, coarse, labels, points)
    wanted = published(head, fine, point_sample(coarse, points), labels)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_gradients_are_those_of_the_published_layers() -> None:
    head = mask_head("pointrend").point_head
    fine, coarse, labels, points = inputs()
    leaves = [fine.requires_grad_(), coarse.requires_grad_(), *head.parameters()]
    wanted = torch.autograd.grad(
        published(head, fine, point_sample(coarse, points), labels).square().sum(), leaves
    )
    got = torch.autograd.grad(own_class(head, fine, coarse, labels, points).square().sum(), leaves)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_a_point_s_logit_does_not_depend_on_other_points() -> None:
    head = mask_head("pointrend").point_head
    fine, coarse, labels, points = inputs()
    together = own_class(head, fine, coarse, labels, points)
    alone = [
        own_class(head, fine[:, :, p : p + 1], coarse, labels, points[:, p : p + 1])
        for p in range(11)
    ]
    torch.testing.assert_close(torch.cat(alone, 1), together, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("grad", [False, True])
def test_projecting_first_or_sampling_first_is_the_same(grad: bool) -> None:
    head, features = mask_head("pointrend"), pyramid()
    points = torch.rand(4, 20, 2, generator=torch.Generator().manual_seed(2))
    with torch.set_grad_enabled(grad):
        sample_first = head._fine_layer(features, num_points=1)
        project_first = head._fine_layer(features, num_points=10**6)
        torch.testing.assert_close(sample_first(points, BOXES), project_first(points, BOXES))
    assert sample_first.__name__ != project_first.__name__


def test_many_points_make_the_masks_of_few() -> None:
    """One box is rendered by sampling first, a hundred of it by projecting first."""
    head, features = mask_head("pointrend"), pyramid(images=1)
    settings = InferenceSettings(output_resolution=28, points_per_step=100)
    box, label = BOXES[0][:1], LABELS[0][:1]
    with torch.no_grad():
        one = head.predict(features, [box], [label], settings)
        many = head.predict(features, [box.expand(100, 4)], [label.expand(100)], settings)
    torch.testing.assert_close(many, one.expand(100, 28, 28))
