"""PointRend's point head: an MLP with weights shared by all points (section 3.3).

Each of its layers sees the coarse logits of all classes beside the layer before; the first sees
fine-grained features too. All that a layer makes of the coarse logits it makes of a map of 7 x 7
cells a box, so the layers' coarse halves are applied to these cells, and the points interpolate
the results: the same logits as those of the layers applied to each point's own concatenated
inputs, for less than two thirds of the multiply-adds.

Shapes: R boxes of all images, P points a box, K classes, C channels of the fine-grained features.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.init import init_msra, init_normal
from pointrend_repro.modeling.rows import neighbours_in_maps, sample_rows

_HIDDEN_LAYERS = 3


class ProjectedCoarse(NamedTuple):
    """What each layer makes of the coarse logits, biases included. The cells are S x S a box.

    Attributes:
        hidden: a table (R * S * S, width) a hidden layer.
        own_class: a table (R * S * S, 1): the predictor's, for each box's class.
        predictor: (R, width), the other half of the predictor's weights for that class.
        side: S, two more than the coarse logits have: a ring of zeros is around them, as sampling
            reads them, so that a bias is one everywhere.
    """

    hidden: list[Tensor]
    own_class: Tensor
    predictor: Tensor
    side: int


class PointHead(nn.Module):
    """An MLP with weights shared by all points; the coarse prediction enters every layer."""

    def __init__(self, in_channels: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d((width if i else in_channels) + num_classes, width, 1)
            for i in range(_HIDDEN_LAYERS)
        )
        self.predictor = nn.Conv1d(width + num_classes, num_classes, 1)
        init_msra(*self.layers)
        init_normal(self.predictor, std=0.001)

    @property
    def fine_weight(self) -> Tensor:
        """The first layer's weights of the fine-grained features, (width, C)."""
        weight, _ = self._linear_layers()[0]
        return weight[:, : weight.shape[1] - self.predictor.out_channels]

    def project_coarse(self, coarse: Tensor, labels: Tensor) -> ProjectedCoarse:
        """Apply the layers' coarse halves to coarse logits (R, K, M0, M0), for classes (R,)."""
        classes = coarse.shape[1]
        cells = F.pad(coarse, (1, 1, 1, 1)).flatten(2).transpose(1, 2)
        hidden = [
            F.linear(cells, weight[:, -classes:], bias).flatten(0, 1)
            for weight, bias in self._linear_layers()
        ]
        assert self.predictor.bias is not None
        predictor = self.predictor.weight.squeeze(2)[labels]
        own = _each_with_its_own(cells, predictor[:, -classes:]) + self.predictor.bias[labels, None]
        return ProjectedCoarse(
            hidden, own.view(-1, 1), predictor[:, :-classes], coarse.shape[2] + 2
        )

    def forward(self, fine: Tensor, coarse: ProjectedCoarse, points: Tensor) -> Tensor:
        """Predict each point's logit for its box's class, and for no other class.

        Args:
            fine: what `fine_weight` makes of the features at the points, (R * P, width). It is
                overwritten.
            coarse: of `project_coarse`.
            points: (R, P, 2), box-normalised.

        Returns:
            (R, P).
        """
        boxes, side = torch.arange(len(points), device=points.device), coarse.side
        around = neighbours_in_maps((points * (side - 2) + 1) / side, boxes, side, side)
        x = fine.add_(sample_rows(coarse.hidden[0], around)).relu_()
        for (weight, _), table in zip(self._linear_layers()[1:], coarse.hidden[1:], strict=True):
            own_half = weight[:, : x.shape[1]].to(x.dtype)
            x = sample_rows(table, around).addmm_(x, own_half.t()).relu_()
        own = sample_rows(coarse.own_class, around).view(points.shape[:2])
        return own + _each_with_its_own(x.view(*points.shape[:2], x.shape[1]), coarse.predictor)

    def _linear_layers(self) -> list[tuple[Tensor, Tensor | None]]:
        convs = [cast(nn.Conv1d, layer) for layer in self.layers]
        return [(conv.weight.squeeze(2), conv.bias) for conv in convs]

    def hidden(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return what the predictor sees, layer by layer as published; its cost is counted on it.

        Args:
            fine: features (R, C, P).
            coarse: coarse logits of all classes at the points, (R, K, P).

        Returns:
            The last layer's output beside the coarse logits, (R, width + K, P).
        """
        x = fine
        for layer in self.layers:
            x = F.relu(layer(torch.cat([x, coarse], dim=1)))
        return torch.cat([x, coarse], dim=1)


def _each_with_its_own(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply (R, P, C) with a vector (R, C) of each box: (R, P).

    As a product and a sum: a batch of matrices times vectors (`bmm`) takes MKL eight times as long.
    """
    return (x * weight.unsqueeze(1)).sum(dim=2)
