"""How often each image is in each resample: Poisson weights that depend on its name alone.

A bootstrap draws N images out of N with replacement; how often one of them is drawn is binomial,
and nearly Poisson with mean 1. Drawing each image's count by itself (the Poisson bootstrap) needs
no list of all images. So AP on COCO's annotations and AP* on those of LVIS, which may not list the
same images, are resampled together, and so is everything else on one data set. That the size of
the sample varies, too, does not matter to metrics that are ratios.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SEED = 0

# P(weight <= k) in 64-bit steps; beyond the last the probability is below 2^-64.
_STEPS = np.array(
    [
        min(round(2**64 * sum(math.exp(-1) / math.factorial(i) for i in range(k + 1))), 2**64 - 1)
        for k in range(20)
    ],
    dtype=np.uint64,
)


def image_weights(images: Sequence[str], resamples: int) -> Iterator[NDArray[np.int64]]:
    """Yield the weights (N,) of N images for each resample.

    The numbers are the same on every machine and with every version of NumPy, which promises that
    of a generator's bits, and not of its Poisson numbers.
    """
    weights = np.empty((resamples, len(images)), dtype=np.uint8)
    for index, name in enumerate(images):
        key = hashlib.sha256(f"{SEED} {name}".encode()).digest()[:16]
        bits = np.random.Philox(key=int.from_bytes(key)).random_raw(resamples)
        weights[:, index] = np.searchsorted(_STEPS, bits, side="right")
    for row in weights:
        yield row.astype(np.int64)
