"""What a model file says about itself: its settings and classes, checked before it is built.

Weights never choose code. A file may say that its mask head is a plug-in, but which class that is,
and whether its module may be imported, is decided by whoever opens the file: a variant or argument.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import safetensors
from pydantic import FailFast, Field, ValidationError, create_model, model_validator
from pydantic_core import from_json

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.base.origins import METADATA_KEY
from pointrend_repro.config.yaml_files import one_line
from pointrend_repro.data.keypoints import KeypointDefinition
from pointrend_repro.declarations.family import FAMILIES, family_in
from pointrend_repro.settings.heads import PluginHeadSettings
from pointrend_repro.settings.of_family import AnyModelSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.values import Strict

# Twenty thousand classes take less than this.
_LONGEST_METADATA = 4_000_000
_SHOWN_DIFFERENCES = 3


class ModelDescription(Strict):
    """What a model consists of, its input, and what its classes mean.

    `categories` are the data set's (id, name), in the order of the model's classes; `keypoints` are
    those of their objects, if the model finds any. `inference` is how it predicts where nobody says
    otherwise, if not as its family does: that of a known model which was converted.
    """

    model: Any
    input: InputSettings
    categories: Annotated[list[tuple[int, str]], Field(min_length=1), FailFast()]
    keypoints: KeypointDefinition | None = None
    inference: Any = None

    @model_validator(mode="after")
    def _has_names_of_its_keypoints(self) -> "ModelDescription":
        head = getattr(self.model, "keypoint_head", None)
        expected = 0 if head is None else head.num_keypoints
        named = 0 if self.keypoints is None else len(self.keypoints.names)
        if named != expected:
            raise ValueError(f"it finds {expected} keypoints and names {named}")
        if self.keypoints is not None and not all(
            0 <= end < named for pair in self.keypoints.skeleton for end in pair
        ):
            raise ValueError("its skeleton has a keypoint without a name")
        return self


@cache
def _description_class(
    model: type[AnyModelSettings], inference: type[Any]
) -> type[ModelDescription]:
    of_family: Any = inference | None
    return create_model(
        "ModelDescription",
        __base__=ModelDescription,
        model=(model, ...),
        inference=(of_family, None),
    )


def is_saved_model(path: Path) -> bool:
    """Return whether a file was written by `save_model`: other tools write safetensors too."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False


def read_description(path: Path, *, family: str | None = None) -> ModelDescription:
    """Read a file's description of its model, as `save_model` wrote it; builds nothing.

    Args:
        family: the family from outside this package that the file may be of; no other is
            imported.

    Raises:
        UserError: the file is missing or damaged, was not written by `save_model`, or is of
            another family.
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
        found = family_in(_mapping(text))
        _require_family(path, found, family)
        family_found = FAMILIES.find(found)
        described = _description_class(family_found.model, family_found.inference)
        return described.model_validate_json(text)
    except ValidationError as error:
        reason = one_line(error, ModelDescription)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        reason = str(error)
    raise UserError(
        f"{path}: not a model of this project ({printable_line(reason)}); train it again"
    )


def _mapping(text: str) -> dict[str, Any]:
    values = from_json(text)
    return values if isinstance(values, dict) else {}


def _require_family(path: Path, found: str, named: str | None) -> None:
    if found == named or FAMILIES.is_own(found):
        return
    shown = printable_line(found)
    if named is not None:
        raise UserError(f"{path}: is of family {shown!r}, not {named!r}")
    raise UserError(
        f"{path}: says that it is of family {shown!r}, which is not of this package and which a "
        "file of weights cannot choose; name it yourself, by family= in Python or by its variant, "
        "if you trust it (docs/your_family.md)"
    )


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
        reason = printable_line(", ".join(differing[:_SHOWN_DIFFERENCES]))
        more = ", ..." if len(differing) > _SHOWN_DIFFERENCES else ""
        raise UserError(
            f"{path}: was trained with other settings than are configured ({reason}{more}); train "
            "it again, or choose the variant and the preset that it was trained with"
        )


def require_own_head(path: Path, found: AnyModelSettings, head: str | None) -> None:
    """Require that a file's mask head is of this package, or the plug-in named by the caller.

    Raises:
        UserError: it is another plug-in.
    """
    named = plugin_of(found)
    if named is None:
        return
    if head is None:
        raise UserError(
            f"{path}: says that its mask head is the plug-in {named!r}, which a file of weights "
            "cannot choose; name it yourself by --head, or head= in Python, if you trust it "
            "(docs/your_head.md)"
        )
    if named != head:
        raise UserError(f"{path}: was trained with the plug-in head {named!r}, not {head!r}")


def plugin_of(settings: AnyModelSettings) -> str | None:
    """Return the plug-in mask head that settings name, if they have one."""
    head = getattr(settings, "mask_head", None)
    return head.head if isinstance(head, PluginHeadSettings) else None


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
