"""A recipe as a file of a paper or a data set holds it: how models of one family are trained."""

from typing import Any

from pointrend_repro.config.yaml_files import validate
from pointrend_repro.declarations.family import FAMILIES
from pointrend_repro.settings.of_family import Recipe


def read_recipe(values: Any, where: str) -> Recipe:
    """Return a recipe, of the family that its `family` names.

    Without it one with crops is of label maps, and any other of instance models.

    Args:
        where: what to call the recipe in an error.

    Raises:
        UserError: there is no such family, or a key is unknown or has a wrong value.
    """
    name, own = "mask_rcnn", values
    if isinstance(values, dict):
        pixels = values.get("input")
        crops = isinstance(pixels, dict) and "crop_px" in pixels
        name = str(values.get("family", "semantic" if crops else name))
        own = {key: value for key, value in values.items() if key != "family"}
    return validate(FAMILIES.find(name).recipe, own, where)
