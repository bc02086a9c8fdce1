"""How a trained DeepMask or SharpMask makes its proposals from whole images.

This module imports neither torch nor Snakemake.
"""

from typing import Literal

from pointrend_repro.settings.of_family import AnyInferenceSettings


class DeepMaskInferenceSettings(AnyInferenceSettings):
    """How a trained DeepMask or SharpMask makes its proposals."""

    family: Literal["deepmask"] = "deepmask"
