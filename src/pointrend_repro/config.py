"""The one reader of `config/`: presets, variants, data sets and tables, and how they combine.

A training's settings are the variant's model, the data set's recipe, and on top of both what the
preset overrides. Every file is checked against a schema that refuses unknown keys.
"""

import difflib
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from pointrend_repro.data.generated.settings import GeneratedSettings
from pointrend_repro.errors import UserError
from pointrend_repro.figures.plan import FigureName
from pointrend_repro.settings import (
    AnyInferenceSettings,
    AnyTrainingSettings,
    DecoderSettings,
    InferenceSettings,
    InputSettings,
    MaskHeadSettings,
    ModelSettings,
    OptimizerSettings,
    PositiveFloat,
    PositiveInt,
    RunSettings,
    ScheduleSettings,
    SemanticInferenceSettings,
    SemanticInputSettings,
    SemanticModelSettings,
    SemanticOptimizerSettings,
    SemanticTrainingSettings,
    Strict,
    TrainingSettings,
)

CONFIG_DIR = Path(__file__).resolve().parents[2] / "config"

Metric = Literal[
    "boundary_ap",
    "coco_ap",
    "lvis_ap_star",
    "cityscapes_ap",
    "mask_head_cost",
    "cityscapes_miou",
    "trimap_miou",
]
# Those of label maps; all others are of instances, or count.
SEMANTIC_METRICS = {"cityscapes_miou", "trimap_miou"}

T = TypeVar("T", bound=Strict)


def _kinds(union: Any) -> list[str]:
    """Values of `kind` of the members of a discriminated union of settings."""
    members = get_args(get_args(union)[0])
    return [get_args(member.model_fields["kind"].annotation)[0] for member in members]


def _require_kinds(key: str, given: dict[str, Any], kinds: list[str]) -> None:
    for kind in given:
        if kind not in kinds:
            raise ValueError(f"{key} has no kind {kind!r}{_suggest(kind, kinds)}")


_MASK_HEADS = _kinds(MaskHeadSettings)
_DECODERS = _kinds(DecoderSettings)
_COCO_FILES = {
    "train_images",
    "train_annotations",
    "val_images",
    "val_annotations",
    "lvis_annotations",
}
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class Variant(Strict):
    """A model and its schedule: one row, or a few, of the paper's tables."""

    title: str
    source: str = Field(description="where in the paper this model is described")
    model: ModelSettings
    schedule: Name
    inference: dict[Name, InferenceSettings]


class SemanticVariant(Strict):
    """A semantic model and its recipe. Its model has a `decoder`, by which it is told apart."""

    title: str
    source: str = Field(description="where in the paper this model is described")
    model: SemanticModelSettings
    recipe: Name = Field(description="one of the data set's semantic_recipes")
    schedule: Name
    inference: dict[Name, SemanticInferenceSettings]


AnyVariant = Variant | SemanticVariant


class DatasetRecipe(Strict):
    """How the paper trains on this data set."""

    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedules: dict[Name, ScheduleSettings]


class SemanticRecipe(Strict):
    """How the paper trains a semantic model: each of its two on other crops and schedules."""

    input: SemanticInputSettings
    optimizer: SemanticOptimizerSettings = SemanticOptimizerSettings()
    schedules: dict[Name, ScheduleSettings]


class Dataset(Strict):
    """A data set in its official layout. Paths are relative to `root`."""

    title: str
    layout: Literal["coco", "cityscapes"]
    root: str | None = Field(description="folder on disk; none: the user names it by `data_root`")
    train_images: str = "train2017"
    train_annotations: str = "annotations/instances_train2017.json"
    val_images: str = "val2017"
    val_annotations: str = "annotations/instances_val2017.json"
    lvis_annotations: str | None = None
    generate: GeneratedSettings | None = None
    num_classes: PositiveInt | None = Field(description="none: as many as the annotations list")
    recipe: DatasetRecipe = Field(description="of instance models")
    semantic_recipes: dict[Name, SemanticRecipe] = Field(
        {}, description="of semantic models, which name the one they take; for layout cityscapes"
    )

    @model_validator(mode="after")
    def _only_cityscapes_labels_all_pixels(self) -> "Dataset":
        if self.semantic_recipes and self.layout != "cityscapes":
            raise ValueError(f"semantic_recipes: layout {self.layout} has no label images")
        return self

    @model_validator(mode="after")
    def _only_coco_files_have_other_names(self) -> "Dataset":
        named = sorted(self.model_fields_set & _COCO_FILES)
        if named and self.layout != "coco":
            raise ValueError(f"{named}: only for layout coco; {self.layout} has fixed names")
        return self


class Column(Strict):
    """One column of a table: a metric of models trained on one data set, or a count."""

    title: str
    dataset: Name | None = Field(None, description="none: the models are counted, not trained")
    metric: Metric
    value: str = Field(description="key of the metric, as the official tool names it")
    unit: str = "%"
    tolerance: PositiveFloat | Literal["rounding"] = Field(
        description="|measured - paper| up to which it reproduces; rounding: to the paper's digits"
    )
    tolerance_source: str

    @model_validator(mode="after")
    def _only_costs_need_no_data(self) -> "Column":
        if (self.dataset is None) != (self.metric == "mask_head_cost"):
            raise ValueError(f"metric {self.metric} and dataset {self.dataset} do not go together")
        return self


class Row(Strict):
    """One row of a table: a variant with one way to run it, and the paper's numbers by column."""

    title: str
    variant: Name
    inference: Name
    paper: dict[Name, int | float] = Field(description="as printed: 34 is not 34.0")


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


class SemanticOverrides(Strict):
    """What a preset changes of semantic models; nothing else of it but `run` reaches them."""

    model: dict[str, Any] = {}
    decoder: dict[str, dict[str, Any]] = Field({}, description="by the kind of decoder")
    pointrend: dict[str, Any] = Field({}, description="of the models that have it")
    input: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    schedule: dict[str, Any] = {}

    @model_validator(mode="after")
    def _decoders_exist(self) -> "SemanticOverrides":
        _require_kinds("decoder", self.decoder, _DECODERS)
        return self


class Overrides(Strict):
    """What a preset changes to scale the pipeline, merged over variant and data set."""

    model: dict[str, Any] = {}
    mask_head: dict[str, dict[str, Any]] = Field({}, description="by the kind of head")
    input: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    schedule: dict[str, Any] = {}
    run: dict[str, Any] = Field({}, description="of all models")
    semantic: SemanticOverrides = SemanticOverrides()

    @model_validator(mode="after")
    def _mask_heads_exist(self) -> "Overrides":
        _require_kinds("mask_head", self.mask_head, _MASK_HEADS)
        return self


class Preset(Strict):
    """The tables to fill and the figures to draw, on which data, at which scale."""

    title: str
    warning: str | None = Field(description="printed wherever a number of this preset stands")
    tables: list[Name]
    figures: list[FigureName] = []
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


def load_variant(name: str, config_dir: Path = CONFIG_DIR) -> AnyVariant:
    """Read `config/variants/<name>.yaml`: a semantic model has a `decoder`."""
    path = _find("variant", name, config_dir)
    values = read_yaml(path)
    model = values.get("model")
    is_semantic = isinstance(model, dict) and "decoder" in model
    if is_semantic:
        return _validate(SemanticVariant, values, str(path))
    return _validate(Variant, values, str(path))


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
    values = {"model": model, **_recipe_values(recipe, variant.schedule, over, where)}
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
    values = {"model": model, **_recipe_values(recipe, variant.schedule, over, where)}
    values["run"] = _merge(RunSettings().model_dump(), preset.overrides.run)
    return _validate(SemanticTrainingSettings, values, where)


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
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
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
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is not a word", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} stands here twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_unique)


def _load(schema: type[T], kind: str, name: str, config_dir: Path) -> T:
    path = _find(kind, name, config_dir)
    return _validate(schema, read_yaml(path), str(path))


def _find(kind: str, name: str, config_dir: Path) -> Path:
    folder = config_dir / f"{kind}s"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(p.stem for p in folder.glob("*.yaml"))
        raise UserError(f"there is no {kind} {name!r} in {folder}{_suggest(name, names)}")
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
    return f"; there are: {', '.join(names)}" if 0 < len(names) <= 12 else ""


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(old, value)
        merged[key] = value
    return merged
