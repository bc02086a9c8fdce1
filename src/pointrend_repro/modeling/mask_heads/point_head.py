"""PointRend's point head: an MLP with weights shared by all points (section 3.3).

Each layer takes the coarse logits of all classes beside the previous layer's output; the first
takes fine-grained features too. A layer's coarse half acts on a map of 7 x 7 cells per box, so
it is applied to these cells, and the points interpolate the results: the logits equal those of the
layers applied to each point's own concatenated inputs, for less than two thirds of the
multiply-adds.

Shapes: R boxes of all images, P points per box, K classes, C channels of the fine-grained features.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.modeling.init import init_msra, init_normal
from pointrend_repro.modeling.rows import neighbours_in_maps, sample_rows


class ProjectedCoarse(NamedTuple):
    """Each layer's projection of the coarse logits, biases included, in S x S cells per box.

    Attributes:
        hidden: a table (R * S * S, width) for each hidden layer.
        box_class: a table (R * S * S, 1): the predictor's, for each box's class.
        predictor: (R, width), the other half of the predictor's weights for that class.
        side: S, two more than the coarse logits have: sampling reads a ring of zeros around them,
            where the bias applies too.
    """

    hidden: list[Tensor]
    box_class: Tensor
    predictor: Tensor
    side: int


class PointHead(nn.Module):
    """An MLP with weights shared by all points; the coarse prediction enters every layer."""

    def __init__(self, in_channels: int, num_classes: int, width: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d((width if i else in_channels) + num_classes, width, 1)
            for i in range(num_layers)
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
        """Apply the layers' coarse halves to coarse logits (R, K, M0, M0), given classes (R,)."""
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
            fine: `fine_weight` applied to the features at the points, (R * P, width). It is
                overwritten.
            coarse: from `project_coarse`.
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
        own = sample_rows(coarse.box_class, around).view(points.shape[:2])
        return own + _each_with_its_own(x.view(*points.shape[:2], x.shape[1]), coarse.predictor)

    def _linear_layers(self) -> list[tuple[Tensor, Tensor | None]]:
        convs = [cast(nn.Conv1d, layer) for layer in self.layers]
        return [(conv.weight.squeeze(2), conv.bias) for conv in convs]

    def hidden(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return the predictor's input, layer by layer as published; its cost is counted on this.

        Args:
            fine: features (R, C, P).
            coarse: coarse logits of all classes at the points, (R, K, P).

        Returns:
            The last layer's output concatenated with the coarse logits, (R, width + K, P).
        """
        x = fine
        for layer in self.layers:
            x = F.relu(layer(torch.cat([x, coarse], dim=1)))
        return torch.cat([x, coarse], dim=1)


def _each_with_its_own(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply (R, P, C) by one vector (R, C) per box: (R, P).

    A product and a sum: as a batch of matrices times vectors (`bmm`) MKL takes eight times as long.
    """
    return (x * weight.unsqueeze(1)).sum(dim=2)
