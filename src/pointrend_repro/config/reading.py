"""The one reader of `config/`: presets, variants, data sets and tables, and how they combine.

A training's settings are the variant's model, the data set's recipe, and on top of both what the
preset overrides. Every file is checked against a schema that refuses unknown keys.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.names import is_name, require_name
from pointrend_repro.base.yaml_text import parse_yaml
from pointrend_repro.config.datasets import Dataset, DatasetRecipe, SemanticRecipe
from pointrend_repro.config.presets import Overrides, Preset, SemanticOverrides
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import AnyVariant, SemanticVariant, Variant
from pointrend_repro.settings.instances import (
    RunSettings,
    Strict,
    TrainingSettings,
)
from pointrend_repro.settings.semantic import (
    AnyInferenceSettings,
    AnyTrainingSettings,
    SemanticTrainingSettings,
)

CONFIG_DIR = Path(__file__).resolve().parents[3] / "config"


T = TypeVar("T", bound=Strict)


def load_preset(name: str, config_dir: Path = CONFIG_DIR) -> Preset:
    """Read `config/presets/<name>.yaml`."""
    return _load(Preset, "preset", name, config_dir)


def load_variant(name: str, config_dir: Path = CONFIG_DIR) -> AnyVariant:
    """Read `config/variants/<name>.yaml`: a semantic model has a `decoder`.

    With `same_as`, the file is another variant with what it says itself on top.
    """
    path = _find("variant", name, config_dir)
    values = _on_top_of_the_same(read_yaml(path), path, config_dir)
    model = values.get("model")
    is_semantic = isinstance(model, dict) and "decoder" in model
    if is_semantic:
        return _validate(SemanticVariant, values, str(path))
    return _validate(Variant, values, str(path))


def _on_top_of_the_same(values: dict[str, Any], path: Path, config_dir: Path) -> dict[str, Any]:
    if "same_as" not in values:
        return values
    own = {key: value for key, value in values.items() if key != "same_as"}
    base = read_yaml(_find("variant", str(values["same_as"]), config_dir))
    if "same_as" in base:
        raise UserError(
            f"{path}: same_as: {values['same_as']} itself is {base['same_as']}; name that"
        )
    return _merge(base, own)


def load_dataset(name: str, config_dir: Path = CONFIG_DIR) -> Dataset:
    """Read `config/datasets/<name>.yaml`."""
    return _load(Dataset, "dataset", name, config_dir)


def load_table(name: str, config_dir: Path = CONFIG_DIR) -> Table:
    """Read `config/tables/<name>.yaml`."""
    return _load(Table, "table", name, config_dir)


def resolve_training(
    preset: Preset, dataset: Dataset, variant: AnyVariant, *, where: str
) -> AnyTrainingSettings:
    """Combine a variant, a data set's recipe and a preset's overrides, and check the result.

    Args:
        where: what to call this combination in an error, such as `smoke/coco/pointrend_r50_fpn`.

    Raises:
        UserError: the recipe or schedule does not exist, or a key is unknown or has a wrong value.
    """
    if isinstance(variant, SemanticVariant):
        return _resolve_semantic(preset, dataset, variant, where)
    recipe, over = dataset.recipe, preset.overrides
    model = _merge(variant.model.model_dump(), over.model)
    model["mask_head"] = _merge(
        model["mask_head"], over.mask_head.get(variant.model.mask_head.kind, {})
    )
    values = {"engine": variant.engine, "model": model, "start_from": _start(variant, over)}
    values |= _recipe_values(recipe, variant.schedule, over, where)
    values["run"] = _merge(RunSettings().model_dump(), over.run)
    return _validate(TrainingSettings, values, where)


def _resolve_semantic(
    preset: Preset, dataset: Dataset, variant: SemanticVariant, where: str
) -> SemanticTrainingSettings:
    if variant.recipe not in dataset.semantic_recipes:
        raise UserError(
            f"{where}: recipe {variant.recipe!r} is not one of the data set's semantic_recipes "
            f"{sorted(dataset.semantic_recipes)}"
        )
    recipe, over = dataset.semantic_recipes[variant.recipe], preset.overrides.semantic
    model = _merge(variant.model.model_dump(), over.model)
    model["decoder"] = _merge(model["decoder"], over.decoder.get(variant.model.decoder.kind, {}))
    if variant.model.pointrend is not None:
        model["pointrend"] = _merge(model["pointrend"], over.pointrend)
    values = {"engine": variant.engine, "model": model, "start_from": _start(variant, over)}
    values |= _recipe_values(recipe, variant.schedule, over, where)
    values["run"] = _merge(RunSettings().model_dump(), preset.overrides.run)
    return _validate(SemanticTrainingSettings, values, where)


def _start(variant: AnyVariant, over: Overrides | SemanticOverrides) -> dict[str, Any] | None:
    """What the training begins with; a preset's word counts for variants that have none."""
    start = variant.start_from or over.start_from
    return None if start is None else start.model_dump()


def _recipe_values(
    recipe: DatasetRecipe | SemanticRecipe,
    schedule: str,
    over: Overrides | SemanticOverrides,
    where: str,
) -> dict[str, Any]:
    if schedule not in recipe.schedules:
        raise UserError(
            f"{where}: schedule {schedule!r} is not one of the data set's "
            f"{sorted(recipe.schedules)}"
        )
    return {
        "input": _merge(recipe.input.model_dump(), over.input),
        "optimizer": _merge(recipe.optimizer.model_dump(), over.optimizer),
        "schedule": _merge(recipe.schedules[schedule].model_dump(), over.schedule),
    }


def resolve_inference(variant: AnyVariant, name: str, *, where: str) -> AnyInferenceSettings:
    """Return the inference settings called `name` of a variant."""
    if name not in variant.inference:
        raise UserError(f"{where}: inference {name!r} is not one of {sorted(variant.inference)}")
    return variant.inference[name]


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, refusing keys that stand there twice.

    Raises:
        UserError: missing, not YAML, or not a mapping; the message has the line.
    """
    try:
        value = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a mapping of keys to values")
    return value


def _load(schema: type[T], kind: str, name: str, config_dir: Path) -> T:
    path = _find(kind, name, config_dir)
    return _validate(schema, read_yaml(path), str(path))


def _find(kind: str, name: str, config_dir: Path) -> Path:
    folder = config_dir / f"{kind}s"
    known = sorted(p.stem for p in folder.glob("*.yaml") if is_name(p.stem))
    path = folder / f"{require_name(name, kind, known)}.yaml"
    if not path.is_file():
        hint = suggest(name, known)
        if kind == "dataset" and "did you mean" not in hint:
            hint = (
                f"; `pointrend-repro data check FOLDER --name {name} --write` makes it of a "
                "folder of yours (docs/your_data.md)"
            )
        raise UserError(f"there is no {kind} {name!r} in {folder}{hint}")
    return path


def _validate(schema: type[T], values: dict[str, Any], where: str) -> T:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {one_line(error, schema)}") from None


def one_line(error: ValidationError, schema: type[Strict]) -> str:
    """Put all that pydantic found wrong into one line, with suggestions for unknown keys."""
    parts = []
    for item in error.errors():
        key = ".".join(str(p) for p in item["loc"]) or schema.__name__
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown key {key}{suggest(key.split('.')[-1], _keys_of(schema))}")
        else:
            parts.append(f"{key}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


def _keys_of(schema: type[Strict]) -> list[str]:
    """All keys that occur anywhere in a schema, for suggestions."""
    names: set[str] = set()
    for part in [schema.model_json_schema(), *schema.model_json_schema().get("$defs", {}).values()]:
        names.update(part.get("properties", {}))
    return sorted(names)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(old, value)
        merged[key] = value
    return merged
