"""JSON schemas of the files in `config/`, from the classes that check them: `make schemas`.

Editors complete and check YAML files by them. What only code can know, such as whether a name
exists or two keys fit each other, is left to the commands.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter

from pointrend_repro.base.names import Name
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.figures import FiguresFile
from pointrend_repro.config.papers import PaperFile
from pointrend_repro.config.presets import Overrides, Preset
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import variant_class
from pointrend_repro.data.fetch.catalogue import Catalogue
from pointrend_repro.declarations.family import FAMILIES, Family
from pointrend_repro.pipeline.planning.published import Speeds
from pointrend_repro.pipeline.resources import Resources
from pointrend_repro.pipeline.workflow import WorkflowConfig
from pointrend_repro.reporting.claims.schema import Claim

Schema = dict[str, Any]

# What a variant may leave to the one that it is the same as.
_LEFT = "same_as"


def schemas() -> dict[str, Schema]:
    """Return the schema of each kind of file, by the kind's name."""
    claims = TypeAdapter(dict[Name, Annotated[Claim, Field(discriminator="kind")]])
    found = {
        "claims": claims.json_schema(),
        "config": _workflow_config(),
        "dataset": _dataset(),
        "downloads": Catalogue.model_json_schema(),
        "figures": FiguresFile.model_json_schema(),
        "paper": PaperFile.model_json_schema(),
        "preset": _with_families(Preset, ["$defs", "Overrides", "properties", "families"]),
        "protocol": _protocol(),
        "resources": Resources.model_json_schema(),
        "scale": _with_families(Overrides, ["properties", "families"]),
        "speeds": Speeds.model_json_schema(),
        "table": Table.model_json_schema(),
        "variant": _variants(),
    }
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {name: draft | schema | {"title": name} for name, schema in found.items()}


def _families() -> list[Family]:
    """Those of this package; one's own have no place in files that all share."""
    return [FAMILIES.find(name) for name in FAMILIES.names() if FAMILIES.is_own(name)]


def _parts(classes: dict[str, type[BaseModel]]) -> dict[str, Schema]:
    """Return the definitions of several schemas for one file, the name of each before its own."""
    found: dict[str, Schema] = {}
    for name, each in classes.items():
        schema = each.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        inner = schema.pop("$defs", {})
        found |= {name: schema} | {f"{name}.{key}": value for key, value in inner.items()}
    return found


def _any_of(names: list[str]) -> Schema:
    return {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}


def _recipes() -> dict[str, Schema]:
    classes = {f"recipe.{family.name}": family.recipe for family in _families()}
    found = _parts(dict(classes))
    for name in classes:
        found[name]["properties"]["family"] = {"const": name.removeprefix("recipe.")}
    return found | {"recipe": _any_of(list(classes))}


def _workflow_config() -> Schema:
    schema = WorkflowConfig.model_json_schema()
    # It is also read as words with commas between them.
    schema["properties"]["papers"]["type"] = ["array", "string", "null"]
    return schema


def _dataset() -> Schema:
    schema = Dataset.model_json_schema()
    schema["$defs"] = schema.get("$defs", {}) | _recipes()
    schema["properties"]["recipes"]["additionalProperties"] = {"$ref": "#/$defs/recipe"}
    return schema


def _protocol() -> Schema:
    recipes = {"type": "object", "additionalProperties": {"$ref": "#/$defs/recipe"}}
    return {"type": "object", "additionalProperties": recipes, "$defs": _recipes()}


def _with_families(schema_class: type[BaseModel], place: list[str]) -> Schema:
    """Return a schema whose `families`, at a place in it, are those of this package."""
    schema = schema_class.model_json_schema()
    classes = {f"family.{family.name}": family.overrides for family in _families()}
    schema.setdefault("$defs", {}).update(_parts(dict(classes)))
    families = schema
    for key in place:
        families = families[key]
    families["properties"] = {
        name.removeprefix("family."): {"$ref": f"#/$defs/{name}"} for name in classes
    }
    return schema


def _variants() -> Schema:
    """Any family's variant; one that is the same as another says only what it changes."""
    classes = {family.name: variant_class(family.name) for family in _families()}
    found = _parts(dict(classes))
    needed = {name: set(found[name].get("required", [])) - {"family"} for name in classes}
    found = {name: _of_changes(definition) for name, definition in found.items()}
    for name in classes:
        found[name]["properties"] |= {"family": {"const": name}, _LEFT: {"type": "string"}}
        found[name]["anyOf"] = [{"required": [_LEFT]}, {"required": sorted(needed[name])}]
    return _any_of(list(classes)) | {"$defs": found}


def _of_changes(schema: Any) -> Any:
    """Return a schema in which nothing is required, so that a choice can fit several."""
    if isinstance(schema, list):
        return [_of_changes(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in {"required", "discriminator"}}
    return {"anyOf" if key == "oneOf" else key: _of_changes(value) for key, value in kept.items()}


def write_schemas(folder: Path) -> None:
    """Write `<kind>.json` for each kind of file."""
    folder.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        text = json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
