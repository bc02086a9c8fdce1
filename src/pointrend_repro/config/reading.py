"""The one reader of `config/`: presets, variants, data sets and tables, and how they combine.

A training's settings are the variant's model, the recipe of its paper or of the data set, and on
top of both what the preset overrides. Every file is checked against a schema that refuses unknown
keys.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.config.changes import changed, told
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.finding import Found, find, own_names
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.presets import Overrides, Preset
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import Variant, variant_class
from pointrend_repro.config.variants_named import with_names_of_all
from pointrend_repro.config.yaml_files import merged, read_yaml, validate
from pointrend_repro.declarations.family import FAMILIES, family_in
from pointrend_repro.settings.at_test import SizeAtTest, on_top
from pointrend_repro.settings.of_family import (
    AnyInferenceSettings,
    AnyModelSettings,
    AnyTrainingSettings,
    Inference,
    Recipe,
)
from pointrend_repro.settings.schedule import InputSettings, RunSettings


def load_preset(name: str, config_dir: Path = CONFIG_DIR) -> Preset:
    """Read `config/presets/<name>.yaml`, its overrides on top of those of its `scale`.

    What `--set` asks for is on top of both (`config.changes`).
    """
    path = find("preset", name, config_dir).path
    where = told(str(path))
    preset = validate(Preset, changed(read_yaml(path)), where)
    if preset.scale is None:
        return preset
    scale = find("scale", preset.scale, config_dir).path
    shared = validate(Overrides, read_yaml(scale), str(scale))
    both = merged(
        shared.model_dump(exclude_unset=True), preset.overrides.model_dump(exclude_unset=True)
    )
    return preset.model_copy(update={"overrides": validate(Overrides, both, where)})


def load_variant(name: str, config_dir: Path = CONFIG_DIR) -> Variant:
    """Read the file of a variant, by the class of its family.

    With `same_as`, the file is another variant with what it says itself on top.
    """
    found = find("variant", name, config_dir)
    values = _on_top_of_the_same(_read_variant(found, config_dir), found, config_dir)
    family = family_in(values)
    schema = variant_class(_known(family, found))
    return validate(schema, values | {"family": family}, str(found.path))


def _read_variant(found: Found, config_dir: Path) -> dict[str, Any]:
    values = read_yaml(found.path)
    if found.paper is None:
        return values
    return with_names_of_all(values, own_names("variant", config_dir, paper=found.paper))


def _known(family: str, found: Found) -> str:
    names = FAMILIES.names()
    if family not in names:
        raise UserError(f"{found.path}: there is no family {family!r}{suggest(family, names)}")
    return family


def _on_top_of_the_same(values: dict[str, Any], found: Found, config_dir: Path) -> dict[str, Any]:
    of_folder = {} if found.paper is None else {"paper": found.paper}
    if "same_as" not in values:
        return of_folder | values
    own = {key: value for key, value in values.items() if key != "same_as"}
    other = find("variant", str(values["same_as"]), config_dir, paper=found.paper)
    base = _read_variant(other, config_dir)
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
    variant: Variant,
    protocol: Mapping[str, Recipe],
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
    family = FAMILIES.find(variant.family)
    if family.training is None:
        raise UserError(f"{where}: nothing is trained in family {family.name}")
    recipe = recipe_of(variant, dataset, protocol, where=where)
    over = preset.overrides.of_family(family)
    if variant.schedule not in recipe.schedules:
        raise UserError(
            f"{where}: schedule {variant.schedule!r} is not one of the recipe's "
            f"{sorted(recipe.schedules)}"
        )
    start = variant.start_from or over.start_from  # the variant's word first
    values = {
        "start_from": _plain(start),
        "proposals_from": _plain(variant.proposals_from),
        "engine": variant.engine,
        "model": over.of_model(variant.model.model_dump()),
        "input": merged(recipe.input.model_dump(), over.input),
        "optimizer": over.of_optimizer(recipe.optimizer.model_dump()),
        "schedule": over.of_schedule(
            variant.schedule, recipe.schedules[variant.schedule].model_dump()
        ),
        "run": merged(RunSettings().model_dump(), preset.overrides.run),
    }
    return validate(family.training, values, where)


def _plain(settings: BaseModel | None) -> dict[str, Any] | None:
    return None if settings is None else settings.model_dump()


def as_measured(
    preset: Preset, variant: Variant, *, where: str
) -> tuple[AnyModelSettings, InputSettings]:
    """Return the model of a variant and the size of its images where a preset measures it.

    Nothing is trained, and no data set or paper has a say.
    """
    over = preset.overrides.of_family(FAMILIES.find(variant.family))
    sizes = {key: over.input[key] for key in InputSettings.model_fields if key in over.input}
    model = validate(type(variant.model), over.of_model(variant.model.model_dump()), where)
    return model, validate(InputSettings, sizes, where)


def recipe_of(
    variant: Variant, dataset: Dataset, protocol: Mapping[str, Recipe], *, where: str
) -> Recipe:
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


def resolve_inference(
    variant: Variant, name: str, *, where: str, preset: Preset | None = None
) -> AnyInferenceSettings:
    """Return the inference settings called `name` of a variant, with what a preset changes.

    Raises:
        UserError: the variant has none of this name.
    """
    if name not in variant.inference:
        raise UserError(f"{where}: inference {name!r} is not one of {sorted(variant.inference)}")
    settings = variant.inference[name]
    return settings if preset is None else as_preset_predicts(preset, variant, settings)


def as_preset_predicts(preset: Preset, variant: Variant, settings: Inference) -> Inference:
    """Return inference settings with what a preset changes in them for the models of a variant."""
    over = preset.overrides.of_family(FAMILIES.find(variant.family))
    return over.of_inference(settings, variant.model)


def overrides_at_test(preset: Preset, variant: Variant) -> SizeAtTest:
    """Return what a preset tests the models of a variant with, instead of their own settings."""
    return preset.overrides.of_family(FAMILIES.find(variant.family)).test


def with_test(settings: Inference, asked: Mapping[str, Any], *, where: str) -> Inference:
    """Return inference settings with what a user asks a model to be tested with.

    Args:
        asked: keys and values of `test`, which may be words of a command line.
        where: what to call them in an error.

    Raises:
        UserError: a key is not one of this kind of model, or has a wrong value.
    """
    over = validate(type(settings.test), dict(asked), where)
    return settings.model_copy(update={"test": on_top(settings.test, over)})
