"""The one reader of `config/`: presets, variants, data sets and tables, and how they combine.

A training's settings are the variant's model, the data set's recipe, and on top of both what the
preset overrides. Every file is checked against a schema that refuses unknown keys.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from pointrend_repro.data.generated.settings import GeneratedSettings
from pointrend_repro.errors import UserError
from pointrend_repro.settings import (
    InferenceSettings,
    InputSettings,
    OptimizerSettings,
    PositiveFloat,
    PositiveInt,
    RunSettings,
    ScheduleSettings,
    Strict,
    TrainingSettings,
)

CONFIG_DIR = Path(__file__).resolve().parents[2] / "config"

Metric = Literal["coco_ap", "lvis_ap_star", "cityscapes_ap"]
T = TypeVar("T", bound=Strict)
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class Variant(Strict):
    """A model and its schedule: one row, or a few, of the paper's tables."""

    title: str
    source: str = Field(description="where in the paper this model is described")
    model: dict[str, Any]
    schedule: Name
    inference: dict[Name, InferenceSettings]


class DatasetRecipe(Strict):
    """How the paper trains on this data set."""

    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedules: dict[Name, ScheduleSettings]


class Dataset(Strict):
    """A data set in its official layout. Paths are relative to `root`."""

    title: str
    layout: Literal["coco"]
    root: str | None = Field(description="folder on disk; none: the user names it by `data_root`")
    train_images: str = "train2017"
    train_annotations: str = "annotations/instances_train2017.json"
    val_images: str = "val2017"
    val_annotations: str = "annotations/instances_val2017.json"
    lvis_annotations: str | None = None
    generate: GeneratedSettings | None = None
    num_classes: PositiveInt | None = Field(description="none: as many as the annotations list")
    recipe: DatasetRecipe


class Column(Strict):
    """One column of a table: a metric of the models trained on one data set."""

    title: str
    dataset: Name
    metric: Metric
    value: str = Field(description="key of the metric, as the official tool names it")
    unit: str = "%"
    tolerance: PositiveFloat = Field(description="|measured - paper| up to which it reproduces")
    tolerance_source: str


class Row(Strict):
    """One row of a table: a variant with one way to run it, and the paper's numbers by column."""

    title: str
    variant: Name
    inference: Name
    paper: dict[Name, float]


class Table(Strict):
    """A table of the paper; a new table is a new file."""

    title: str
    caption: str
    source: str
    columns: dict[Name, Column]
    rows: dict[Name, Row]

    @model_validator(mode="after")
    def _numbers_have_columns(self) -> "Table":
        for key, row in self.rows.items():
            unknown = sorted(set(row.paper) - set(self.columns))
            if unknown:
                raise ValueError(f"row {key!r} has numbers for {unknown}, which are no columns")
        return self


class Overrides(Strict):
    """What a preset changes to scale the pipeline, merged over variant and data set."""

    model: dict[str, Any] = {}
    mask_head: dict[str, dict[str, Any]] = Field({}, description="by the kind of head")
    input: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    schedule: dict[str, Any] = {}
    run: dict[str, Any] = {}


class Preset(Strict):
    """The tables to fill, on which data, at which scale."""

    title: str
    warning: str | None = Field(description="printed wherever a number of this preset stands")
    tables: list[Name]
    datasets: dict[Name, Name] = Field(description="a table's data set -> the one to use for it")
    trials: dict[Name, PositiveInt] = Field(description="by a table's data set; median reported")
    needs_gpu: bool = Field(False, description="refuse to train without one, unless told to")
    overrides: Overrides = Overrides()

    @model_validator(mode="after")
    def _trials_match_datasets(self) -> "Preset":
        if set(self.trials) != set(self.datasets):
            raise ValueError(f"trials {sorted(self.trials)} must name {sorted(self.datasets)}")
        return self


def load_preset(name: str, config_dir: Path = CONFIG_DIR) -> Preset:
    """Read `config/presets/<name>.yaml`."""
    return _load(Preset, "preset", name, config_dir)


def load_variant(name: str, config_dir: Path = CONFIG_DIR) -> Variant:
    """Read `config/variants/<name>.yaml`."""
    return _load(Variant, "variant", name, config_dir)


def load_dataset(name: str, config_dir: Path = CONFIG_DIR) -> Dataset:
    """Read `config/datasets/<name>.yaml`."""
    return _load(Dataset, "dataset", name, config_dir)


def load_table(name: str, config_dir: Path = CONFIG_DIR) -> Table:
    """Read `config/tables/<name>.yaml`."""
    return _load(Table, "table", name, config_dir)


def resolve_training(
    preset: Preset, dataset: Dataset, variant: Variant, *, where: str
) -> TrainingSettings:
    """Combine a variant, a data set's recipe and a preset's overrides, and check the result.

    Args:
        where: what to call this combination in an error, such as `smoke/coco/pointrend_r50_fpn`.

    Raises:
        UserError: the schedule does not exist, or a key is unknown or has a wrong value.
    """
    recipe, over = dataset.recipe, preset.overrides
    if variant.schedule not in recipe.schedules:
        raise UserError(
            f"{where}: schedule {variant.schedule!r} is not one of the data set's "
            f"{sorted(recipe.schedules)}"
        )
    kind = str(variant.model.get("mask_head", {}).get("kind"))
    model = _merge(variant.model, over.model)
    model["mask_head"] = _merge(model.get("mask_head", {}), over.mask_head.get(kind, {}))
    values = {
        "model": model,
        "input": _merge(recipe.input.model_dump(), over.input),
        "optimizer": _merge(recipe.optimizer.model_dump(), over.optimizer),
        "schedule": _merge(recipe.schedules[variant.schedule].model_dump(), over.schedule),
        "run": _merge(RunSettings().model_dump(), over.run),
    }
    return _validate(TrainingSettings, values, where)


def resolve_inference(variant: Variant, name: str, *, where: str) -> InferenceSettings:
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
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a mapping of keys to values")
    return value


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML says that keys are unique; PyYAML takes the last one in silence."""


def _construct_unique(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} stands here twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_unique)


def _load(schema: type[T], kind: str, name: str, config_dir: Path) -> T:
    folder = config_dir / f"{kind}s"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(p.stem for p in folder.glob("*.yaml"))
        raise UserError(f"there is no {kind} {name!r} in {folder}{_suggest(name, names)}")
    return _validate(schema, read_yaml(path), str(path))


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
            parts.append(f"unknown key {key}{_suggest(key.split('.')[-1], _keys_of(schema))}")
        else:
            parts.append(f"{key}: {item['msg']}")
    return "; ".join(parts)


def _keys_of(schema: type[Strict]) -> list[str]:
    """All keys that occur anywhere in a schema, for suggestions."""
    names: set[str] = set()
    for part in [schema.model_json_schema(), *schema.model_json_schema().get("$defs", {}).values()]:
        names.update(part.get("properties", {}))
    return sorted(names)


def _suggest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(names)}" if len(names) <= 12 else ""


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(old, value)
        merged[key] = value
    return merged
