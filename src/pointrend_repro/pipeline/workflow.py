"""What the Snakefile needs to know: its own settings, checked, and their command-line options."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from pointrend_repro.base.asked import share
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.names import Name
from pointrend_repro.config.changes import WEIGHTS
from pointrend_repro.config.papers import paper_names
from pointrend_repro.config.yaml_files import one_line
from pointrend_repro.data.paths import UserData
from pointrend_repro.declarations.metric import Layout
from pointrend_repro.engines.detectron2.install import require_detectron2
from pointrend_repro.pipeline.resources import Slurm
from pointrend_repro.settings.schedule import OWN_ENGINE, Engine
from pointrend_repro.settings.values import PositiveInt, Strict


class WorkflowConfig(Strict):
    """Keys of `config/config.yaml`, which `snakemake --config key=value` overrides."""

    preset: Name
    papers: list[Name] = Field([], description="whose numbers to make; none: the preset's")
    roots: dict[Name, Path] = Field({}, description="folder of a data set, by its name")
    weights: Path | None = Field(None, description="to fine-tune from: start_from of the preset")
    set: list[str] = Field([], description="KEY=VALUE of the preset, as `--set` of the commands")
    data_root: Path | None = None
    cityscapes_root: Path | None = None
    lvis_annotations: Path | None = None
    detectron2_python: Path | None = Field(None, description="none: detectron2 is in this one")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpus: PositiveInt = Field(1, description="of each training, on each of its nodes")
    nodes: PositiveInt = Field(1, description="machines of each training")
    predict_gpus: PositiveInt = Field(1, description="of each prediction, on each of its nodes")
    predict_nodes: PositiveInt = Field(1, description="machines of each prediction")
    slurm: Slurm | None = Field(None, description="set by slurm/cluster.yaml, for --profile slurm")

    @field_validator("set", mode="before")
    @classmethod
    def _with_spaces(cls, value: Any) -> Any:
        if isinstance(value, Mapping):  # so Snakemake reads what YAML takes for one
            raise ValueError(
                f"{value} must be KEY=VALUE; a value with braces goes into a list: "
                "'set=[\"optimizer={base_lr: 0.01}\"]'"
            )
        words = (value or "").split() if value is None or isinstance(value, str) else value
        if isinstance(value, str) and (parts := [word for word in words if "=" not in word]):
            raise ValueError(
                f"{parts[0]!r} must be KEY=VALUE; a value with spaces goes into a list: "
                "'set=[\"title=My title\"]'"
            )
        return words

    @field_validator("weights", "lvis_annotations")
    @classmethod
    def _is_a_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"{value}: no such file")
        return value

    # Or a misspelt one would fail in a job, before which Snakemake deletes what the last one wrote.
    @field_validator("data_root", "cityscapes_root")
    @classmethod
    def _is_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError(f"{value}: no such folder")
        return value

    @field_validator("roots")
    @classmethod
    def _are_folders(cls, value: dict[Name, Path]) -> dict[Name, Path]:
        for root in value.values():
            cls._is_a_folder(root)
        return value

    def share_changes(self) -> None:
        """Let every command of this run, and this process, read the preset as it is changed."""
        words = [*([] if self.weights is None else [f"{WEIGHTS}={self.weights}"]), *self.set]
        if words:
            share(words)

    @field_validator("papers", mode="before")
    @classmethod
    def _with_commas(cls, value: Any) -> Any:
        return paper_names(value or "") if value is None or isinstance(value, str) else value

    @model_validator(mode="after")
    def _only_slurm_joins_machines(self) -> "WorkflowConfig":
        for key in ("nodes", "predict_nodes"):
            if getattr(self, key) > 1 and self.slurm is None:
                raise ValueError(f"{key}: several machines are for Slurm; say --profile slurm")
        return self

    def asks_for_gpu(self, *, needs_gpu: bool) -> bool:
        """Whether the jobs of a preset run on GPUs."""
        return self.device == "cuda" or (needs_gpu and self.device == "auto")

    @property
    def user_data(self) -> UserData:
        """The user's data in COCO's layout."""
        return UserData(self.data_root, self.lvis_annotations)

    @property
    def cityscapes_data(self) -> UserData:
        """The user's data in Cityscapes' layout."""
        return UserData(self.cityscapes_root)

    def root_option(self, dataset: str, layout: Layout) -> str:
        """The command-line option that gives the user's folder of a data set, as one word.

        It is empty if the data set lies in its usual place.
        """
        of_layout = self.cityscapes_root if layout == "cityscapes" else self.data_root
        return _option("--data-root", self.roots.get(dataset, of_layout))

    @property
    def papers_option(self) -> str:
        """The command-line option equivalent to `papers`, as one word."""
        return f"--papers={','.join(self.papers)}" if self.papers else ""

    @property
    def lvis_option(self) -> str:
        """The command-line option equivalent to `lvis_annotations`, as one word."""
        return _option("--lvis-annotations", self.lvis_annotations)

    def program(self, engine: Engine) -> str:
        """The command that starts the package in an environment that has the engine."""
        if engine == OWN_ENGINE or self.detectron2_python is None:
            return "pointrend-repro"
        return f"{shlex.quote(str(self.detectron2_python))} -m pointrend_repro"

    def require_engines(self, engines: Iterable[Engine], *, in_conda: bool) -> None:
        """Refuse to plan trainings by detectron2 if no Python is known to have it.

        Args:
            engines: of all variants of a preset.
            in_conda: whether the rules bring their own environments.

        Raises:
            UserError: there is none; the message says how to get it.
        """
        if "detectron2" in engines and self.detectron2_python is None and not in_conda:
            require_detectron2()


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
    # One word, quoted by the rules: a path that begins with `-` is still a path.
    return f"{name}={value}" if value else ""
