"""By what the scores of a model's detections are multiplied in an ensemble, reckoned from its AP.

Source: the 3D-FUTURE report, section 4.3.
"""

from collections.abc import Sequence
from typing import Literal

# "where theta_min and theta_max are set to 0.6 and 1.0"
_LEAST, _MOST = 0.6, 1.0

Weighting = Literal["linear_interpolation", "linear_reweight"]


def model_weights(scores: Sequence[float], weighting: Weighting) -> tuple[float, ...]:
    """Return the weight of each model.

    `linear_interpolation` is formula 1 of the report: 0.6 for the worst model and 1 for the best.
    Models of equal scores all have weight 1, of which the formula says nothing.

    `linear_reweight` is only named in the report, which cites another one (Huang et al., 2020), and
    its published code does not have it. Here weights are proportional to scores, 1 for the best:
    the linear weights that the name suggests, without the interval that sets formula 1 apart.

    Args:
        scores: what each model reaches, such as its AP; above 0.
    """
    worst, best = min(scores), max(scores)
    if weighting == "linear_reweight":
        return tuple(score / best for score in scores)
    if worst == best:
        return (_MOST,) * len(scores)
    slope = (_MOST - _LEAST) / (best - worst)
    return tuple(_LEAST + slope * (score - worst) for score in scores)
