"""Selective Search: boxes of regions that are grouped by rules. Nothing is trained."""

from pointrend_repro.declarations.family import Family
from pointrend_repro.settings.selective_search import (
    SelectiveSearchInferenceSettings,
    SelectiveSearchModelSettings,
    SelectiveSearchOverrides,
)

FAMILY = Family(
    name="selective_search",
    predictions="proposals",
    model=SelectiveSearchModelSettings,
    inference=SelectiveSearchInferenceSettings,
    overrides=SelectiveSearchOverrides,
    read="pointrend_repro.data.training_splits:read_instances",
    predict="pointrend_repro.predictions.selective_search:write_proposals",
)
