"""How often each image is in each resample: Poisson weights that depend only on its name.

A bootstrap draws N images out of N with replacement; how often one of them is drawn is binomial,
and nearly Poisson with mean 1. Drawing each image's count independently (the Poisson bootstrap)
needs no list of all images. So AP on COCO's annotations and AP* on those of LVIS, which may not
list the same images, are resampled together, as is everything else on one data set. That the
sample size varies too does not matter for metrics that are ratios.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SEED = 0

# P(weight <= k) in units of 2^-64; beyond the last the probability is below 2^-64.
_STEPS = np.array(
    [
        min(round(2**64 * sum(math.exp(-1) / math.factorial(i) for i in range(k + 1))), 2**64 - 1)
        for k in range(20)
    ],
    dtype=np.uint64,
)


def image_weights(images: Sequence[str], resamples: int) -> Iterator[NDArray[np.int64]]:
    """Yield the weights (N,) of N images for each resample.

    The numbers are the same on every machine and with every version of NumPy, which guarantees a
    generator's bits but not its Poisson numbers.
    """
    weights = np.empty((resamples, len(images)), dtype=np.uint8)
    for index, name in enumerate(images):
        key = hashlib.sha256(f"{SEED} {name}".encode()).digest()[:16]
        bits = np.random.Philox(key=int.from_bytes(key)).random_raw(resamples)
        weights[:, index] = np.searchsorted(_STEPS, bits, side="right")
    for row in weights:
        yield row.astype(np.int64)
