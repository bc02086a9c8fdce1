"""Which model a person means by a name, a file of weights, both, or neither."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointrend_repro.api.loading import Model, is_model_file, load_model
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.known_models import known_model
from pointrend_repro.checkpoints.published import published_weights
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.data.fetch.catalogue import load_catalogue

DEFAULT_MODEL = "pointrend_r50_fpn_coco"


@dataclass(frozen=True)
class Chosen:
    """A model by name, by weights, by both, or by neither.

    Attributes:
        model: a name of `list_models`; None: the file of weights says it, or `DEFAULT_MODEL`.
        weights: a file; None: the published weights.
    """

    model: str | None = None
    weights: Path | None = None

    def file(self, data: Path, config_dir: Path = CONFIG_DIR) -> Path:
        """Return the file of weights.

        Args:
            data: where `data fetch` has put the published ones.
            config_dir: with the catalogue of these.

        Raises:
            UserError: there is no such model, its published weights are not there, or a file alone
                does not say its model.
        """
        if self.weights is None:
            name = self.model or DEFAULT_MODEL
            known_model(name)
            return published_weights(name, load_catalogue(config_dir), data)
        if self.model is None and not is_model_file(str(self.weights)):
            raise UserError(
                f"{self.weights}: does not say which model it is of; name it by --model"
            )
        return self.weights

    def load(
        self,
        file: Path,
        *,
        device: str,
        head: str | None = None,
        test: Mapping[str, Any] | None = None,
    ) -> Model:
        """Load the model with the weights of `file`.

        Args:
            file: as returned by the method of this name.
            device: as for `load_model`, like the others.

        Raises:
            UserError: as of `load_model`.
        """
        if self.model is None and self.weights is not None:
            return load_model(file, device=device, head=head, test=test)
        return load_model(self.model or DEFAULT_MODEL, file, device, test=test)
