"""What a model file says of itself: its settings and classes, checked before anything is built.

Weights never choose code. A file may say that its mask head is a plug-in, but which class that is,
and that its module may be imported, is said by whoever opens the file: a variant or an argument.
"""

from pathlib import Path
from typing import Annotated, Any

import safetensors
from pydantic import Discriminator, FailFast, Field, Tag, ValidationError

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.base.origins import METADATA_KEY
from pointrend_repro.config.yaml_files import one_line
from pointrend_repro.settings.instances import (
    InputSettings,
    ModelSettings,
    PluginHeadSettings,
    Strict,
)
from pointrend_repro.settings.semantic import AnyModelSettings, SemanticModelSettings

# Twenty thousand classes take less than one.
_LONGEST_METADATA = 4_000_000
_SHOWN_DIFFERENCES = 3


def _kind_of_model(value: Any) -> str:
    settings = (
        value if isinstance(value, dict) else vars(value) if hasattr(value, "__dict__") else {}
    )
    return "semantic" if "decoder" in settings else "instances"


class ModelDescription(Strict):
    """What a model is made of, how it is fed, and what its classes mean.

    `categories` are the data set's (id, name), in the order of the model's classes.
    """

    model: Annotated[
        Annotated[ModelSettings, Tag("instances")]
        | Annotated[SemanticModelSettings, Tag("semantic")],
        Discriminator(_kind_of_model),
    ]
    input: InputSettings
    categories: Annotated[list[tuple[int, str]], Field(min_length=1), FailFast()]


def is_saved_model(path: Path) -> bool:
    """Return whether a file was written by `save_model`: other tools write safetensors too."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False


def read_description(path: Path) -> ModelDescription:
    """Read what a file that `save_model` wrote says of its model; builds and imports nothing.

    Raises:
        UserError: the file is missing or damaged, or was not written by `save_model`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; train the model first")
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
        if text is None:
            raise ValueError("its header has no settings")
        if len(text) > _LONGEST_METADATA:
            raise ValueError(f"its settings are {len(text)} characters long")
        return ModelDescription.model_validate_json(text)
    except ValidationError as error:
        told = one_line(error, ModelDescription)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        told = str(error)
    raise UserError(f"{path}: not a model of this project ({printable_line(told)}); train it again")


def require_configured(path: Path, found: AnyModelSettings, configured: AnyModelSettings) -> None:
    """Require that a file's model is the one that was configured.

    Raises:
        UserError: it was trained with other settings; the message names some.
    """
    ours, theirs = _flat(found), _flat(configured)
    differing = [
        f"{key} {_value(ours, key)} instead of {_value(theirs, key)}"
        for key in dict.fromkeys([*theirs, *ours])
        if key not in ours or key not in theirs or ours[key] != theirs[key]
    ]
    if differing:
        told = printable_line(", ".join(differing[:_SHOWN_DIFFERENCES]))
        more = ", ..." if len(differing) > _SHOWN_DIFFERENCES else ""
        raise UserError(
            f"{path}: was trained with other settings than are configured ({told}{more}); train it "
            "again, or take the variant and the preset that it was trained with"
        )


def require_own_head(path: Path, found: AnyModelSettings, head: str | None) -> None:
    """Require that a file's mask head is of this package, or the plug-in that the caller has named.

    Raises:
        UserError: it is another plug-in.
    """
    if not isinstance(found, ModelSettings) or not isinstance(found.mask_head, PluginHeadSettings):
        return
    named = found.mask_head.head
    if head is None:
        raise UserError(
            f"{path}: says that its mask head is the plug-in {named!r}, which a file of weights "
            "cannot choose; name it yourself if you trust it (docs/your_head.md)"
        )
    if named != head:
        raise UserError(f"{path}: was trained with the plug-in head {named!r}, not {head!r}")


def _flat(settings: AnyModelSettings) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                walk(inner, f"{key}.{name}" if key else str(name))
        else:
            found[key] = value

    walk(settings.model_dump(mode="json"), "")
    return found


def _value(values: dict[str, Any], key: str) -> str:
    return str(values[key]) if key in values else "none"
