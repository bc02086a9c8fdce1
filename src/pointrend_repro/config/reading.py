"""The one reader of `config/`: presets, variants, data sets and tables, and how they combine.

A training's settings are the variant's model, the recipe of its paper or of the data set, and on
top of both what the preset overrides. Every file is checked against a schema that refuses unknown
keys.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.config.datasets import AnyRecipe, Dataset
from pointrend_repro.config.finding import Found, find, own_names
from pointrend_repro.config.presets import Overrides, Preset, SemanticOverrides
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import AnyVariant, SemanticVariant, Variant
from pointrend_repro.config.yaml_files import CONFIG_DIR, merged, read_yaml, validate
from pointrend_repro.settings.instances import RunSettings, TrainingSettings
from pointrend_repro.settings.semantic import (
    AnyInferenceSettings,
    AnyTrainingSettings,
    SemanticTrainingSettings,
)


def load_preset(name: str, config_dir: Path = CONFIG_DIR) -> Preset:
    """Read `config/presets/<name>.yaml`, its overrides on top of those of its `scale`."""
    path = find("preset", name, config_dir).path
    preset = validate(Preset, read_yaml(path), str(path))
    if preset.scale is None:
        return preset
    scale = find("scale", preset.scale, config_dir).path
    shared = validate(Overrides, read_yaml(scale), str(scale))
    both = merged(
        shared.model_dump(exclude_unset=True), preset.overrides.model_dump(exclude_unset=True)
    )
    return preset.model_copy(update={"overrides": validate(Overrides, both, str(path))})


def load_variant(name: str, config_dir: Path = CONFIG_DIR) -> AnyVariant:
    """Read the file of a variant: a semantic model has a `decoder`.

    With `same_as`, the file is another variant with what it says itself on top.
    """
    found = find("variant", name, config_dir)
    values = _on_top_of_the_same(read_yaml(found.path), found, config_dir)
    model = values.get("model")
    is_semantic = isinstance(model, dict) and "decoder" in model
    if is_semantic:
        return validate(SemanticVariant, values, str(found.path))
    return validate(Variant, values, str(found.path))


def _on_top_of_the_same(values: dict[str, Any], found: Found, config_dir: Path) -> dict[str, Any]:
    of_folder = {} if found.paper is None else {"paper": found.paper}
    if "same_as" not in values:
        return of_folder | values
    own = {key: value for key, value in values.items() if key != "same_as"}
    other = find("variant", str(values["same_as"]), config_dir, paper=found.paper)
    base = read_yaml(other.path)
    if "same_as" in base:
        raise UserError(
            f"{found.path}: same_as: {values['same_as']} itself is {base['same_as']}; name that"
        )
    of_base = {} if other.paper is None else {"paper": other.paper}
    return merged(of_base | base | of_folder, own)


def load_dataset(name: str, config_dir: Path = CONFIG_DIR) -> Dataset:
    """Read `config/datasets/<name>.yaml`."""
    path = find("dataset", name, config_dir).path
    return validate(Dataset, read_yaml(path), str(path))


def load_table(name: str, config_dir: Path = CONFIG_DIR) -> Table:
    """Read the file of a table; its rows name variants as all papers together know them."""
    found = find("table", name, config_dir)
    table = validate(Table, read_yaml(found.path), str(found.path))
    if found.paper is None:
        return table
    own = own_names("variant", config_dir, paper=found.paper)
    rows = {
        key: row.model_copy(update={"variant": own.get(row.variant or "", row.variant)})
        for key, row in table.rows.items()
    }
    return table.model_copy(update={"rows": rows})


def resolve_training(
    preset: Preset,
    dataset: Dataset,
    variant: AnyVariant,
    protocol: Mapping[str, AnyRecipe],
    *,
    where: str,
) -> AnyTrainingSettings:
    """Combine a variant, its recipe and a preset's overrides, and check the result.

    Args:
        protocol: the recipes of the variant's paper for this data set.
        where: what to call this combination in an error, such as `smoke/coco/pointrend_r50_fpn`.

    Raises:
        UserError: the recipe or schedule does not exist, or a key is unknown or has a wrong value.
    """
    if isinstance(variant, SemanticVariant):
        return _resolve_semantic(preset, dataset, variant, protocol, where)
    recipe, over = recipe_of(variant, dataset, protocol, where=where), preset.overrides
    model = merged(variant.model.model_dump(), over.model)
    model["mask_head"] = merged(
        model["mask_head"], over.mask_head.get(variant.model.mask_head.kind, {})
    )
    values = {"engine": variant.engine, "model": model}
    values |= _recipe_values(recipe, variant.schedule, over, where)
    values["run"] = merged(RunSettings().model_dump(), over.run)
    return validate(TrainingSettings, values, where)


def _resolve_semantic(
    preset: Preset,
    dataset: Dataset,
    variant: SemanticVariant,
    protocol: Mapping[str, AnyRecipe],
    where: str,
) -> SemanticTrainingSettings:
    recipe = recipe_of(variant, dataset, protocol, where=where)
    over = preset.overrides.semantic
    model = merged(variant.model.model_dump(), over.model)
    model["decoder"] = merged(model["decoder"], over.decoder.get(variant.model.decoder.kind, {}))
    if variant.model.pointrend is not None:
        model["pointrend"] = merged(model["pointrend"], over.pointrend)
    values = {"engine": variant.engine, "model": model}
    values |= _recipe_values(recipe, variant.schedule, over, where)
    values["run"] = merged(RunSettings().model_dump(), preset.overrides.run)
    return validate(SemanticTrainingSettings, values, where)


def recipe_of(
    variant: AnyVariant, dataset: Dataset, protocol: Mapping[str, AnyRecipe], *, where: str
) -> AnyRecipe:
    """Return how a variant is trained: by its paper, unless the data set brings recipes itself.

    Raises:
        UserError: neither has the recipe that the variant names.
    """
    own = dataset.own_recipes
    recipes, whose = (own, "the data set's") if own else (protocol, "its paper's for this data set")
    if variant.recipe not in recipes:
        hint = suggest(variant.recipe, list(recipes))
        raise UserError(f"{where}: recipe {variant.recipe!r} is not one of {whose}{hint}")
    return recipes[variant.recipe]


def _recipe_values(
    recipe: AnyRecipe,
    schedule: str,
    over: Overrides | SemanticOverrides,
    where: str,
) -> dict[str, Any]:
    if schedule not in recipe.schedules:
        raise UserError(
            f"{where}: schedule {schedule!r} is not one of the recipe's {sorted(recipe.schedules)}"
        )
    return {
        "input": merged(recipe.input.model_dump(), over.input),
        "optimizer": merged(recipe.optimizer.model_dump(), over.optimizer),
        "schedule": merged(recipe.schedules[schedule].model_dump(), over.schedule),
    }


def resolve_inference(variant: AnyVariant, name: str, *, where: str) -> AnyInferenceSettings:
    """Return the inference settings called `name` of a variant."""
    if name not in variant.inference:
        raise UserError(f"{where}: inference {name!r} is not one of {sorted(variant.inference)}")
    return variant.inference[name]
