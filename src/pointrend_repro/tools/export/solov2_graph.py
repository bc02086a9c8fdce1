"""SOLOv2 as one function of one image, for any image size and any number of objects."""

from torch import Tensor, nn

from pointrend_repro.modeling.solov2.choosing import choose_at_once
from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.settings.solov2 import SoloInferenceSettings
from pointrend_repro.tools.export.graph import pyramid_of


class SoloGraph(nn.Module):
    """`SOLOv2.detect` for one image that the caller pads.

    All masks of cells that are sure enough are made at once: an untrained model may need more
    memory than there is.

    Attributes:
        outputs: names of what `forward` returns.
        what: the model in words, for messages.
    """

    outputs = ("scores", "labels", "mask_probabilities")
    what = "a SOLOv2"

    def __init__(self, model: SOLOv2, settings: SoloInferenceSettings) -> None:
        super().__init__()
        self.model = model
        self.settings = settings

    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        """Find the objects of one image.

        Args:
            image: (3, H, W) float32, RGB in 0 to 255, at the network's input size; H and W are
                multiples of 32 and at least 96. Pixels beyond `size` do not matter.
            size: (2,) int64, height and width of the image before it was padded.

        Returns:
            `scores` (R,), `labels` (R,) int64 and `mask_probabilities` (R, H / 4, W / 4) over the
            whole padded image; highest-scoring first.
        """
        features = pyramid_of(self.model.backbone, image, size)
        ((cells, mask_map),) = self.model.cells(features)
        found = choose_at_once(cells, mask_map, self.settings)
        return found.scores, found.labels, found.probabilities
