"""What the Snakefile needs to know: its own settings, checked, and how they reach the commands."""

import shlex
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pointrend_repro.config import one_line
from pointrend_repro.data.paths import UserData
from pointrend_repro.errors import UserError
from pointrend_repro.settings import Strict


class WorkflowConfig(Strict):
    """Keys of `config/config.yaml`, which `snakemake --config key=value` overrides."""

    preset: str
    data_root: Path | None = None
    cityscapes_root: Path | None = None
    lvis_annotations: Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def user_data(self) -> UserData:
        """The data in COCO's layout that the user has named."""
        return UserData(self.data_root, self.lvis_annotations)

    @property
    def cityscapes_data(self) -> UserData:
        """The data in Cityscapes' layout that the user has named."""
        return UserData(self.cityscapes_root)

    @property
    def data_root_option(self) -> str:
        """The command-line option that says the same as `data_root`."""
        return _option("--data-root", self.data_root)

    @property
    def cityscapes_root_option(self) -> str:
        """The command-line option that says the same as `cityscapes_root`."""
        return _option("--data-root", self.cityscapes_root)

    @property
    def lvis_option(self) -> str:
        """The command-line option that says the same as `lvis_annotations`."""
        return _option("--lvis-annotations", self.lvis_annotations)


def read_workflow_config(config: dict[str, Any]) -> WorkflowConfig:
    """Check Snakemake's `config`.

    Raises:
        UserError: an unknown key or a wrong value.
    """
    try:
        return WorkflowConfig.model_validate(config)
    except ValidationError as error:
        problem = one_line(error, WorkflowConfig)
        raise UserError(f"config/config.yaml or snakemake --config: {problem}") from None


def _option(name: str, value: Path | None) -> str:
    return f"{name} {shlex.quote(str(value))}" if value else ""
