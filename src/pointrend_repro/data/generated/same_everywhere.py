"""Functions that give every processor the same last bits, as the scenes must have.

NumPy's own round differently where the processor has AVX-512: arctan2, exp, log, powers and tan.
Matrix products depend on the processor, too. These are the C library's.
"""

import math

import numpy as np
from numpy.typing import NDArray


def power(base: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return the powers of numbers that are not negative."""
    return np.array([math.pow(x, exponent) for x in base.ravel().tolist()]).reshape(base.shape)


def angle(y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the angles of points, -pi to pi, as `numpy.arctan2`; y and x are broadcast."""
    high, wide = (values.tolist() for values in np.broadcast_arrays(y.ravel()[:, None], x.ravel()))
    rows = [list(map(math.atan2, *row)) for row in zip(high, wide, strict=True)]
    return np.array(rows, np.float32)
