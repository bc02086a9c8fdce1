"""Settings of a preset's trainings, each with what decides those that it builds on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import digest
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.papers import Paper
from pointrend_repro.config.presets import Preset
from pointrend_repro.config.reading import resolve_inference, resolve_training
from pointrend_repro.config.variants import Variant, is_trained, kind_of, together
from pointrend_repro.declarations.family import family_of
from pointrend_repro.settings.identity import settings_digest
from pointrend_repro.settings.of_family import AnyTrainingSettings, Recipe
from pointrend_repro.settings.proposals_from import ResolvedProposals

_ARROWS = "start_from, proposals_from"

# A data set and a variant that is trained on it.
Pair = tuple[str, str]


@dataclass(frozen=True)
class Resolving:
    """What the settings of a preset's trainings are made of; each is made once."""

    name: str
    preset: Preset
    datasets: Mapping[str, Dataset]
    variants: Mapping[str, Variant]
    trained_by: Mapping[str, Paper]
    variant_files: Mapping[str, str]
    _resolved: dict[Pair, AnyTrainingSettings] = field(default_factory=dict)

    def settings(self, pair: Pair, followers: tuple[Pair, ...] = ()) -> AnyTrainingSettings:
        """Return the settings of a training.

        Args:
            followers: build on it, the last of them directly.

        Raises:
            UserError: they do not resolve, or the training builds on itself by way of others.
        """
        if pair not in self._resolved:
            dataset, variant = pair
            model = self.variant_files[variant]
            where = f"presets/{self.name}.yaml with {model} on datasets/{dataset}.yaml"
            path = (*followers, pair)
            if pair in followers:
                told = " -> ".join("/".join(step) for step in path[path.index(pair) :])
                raise UserError(f"{where}: {_ARROWS} leads back to itself: {told}")
            settings = resolve_training(
                self.preset,
                self.datasets[dataset],
                self.variants[variant],
                self._protocol(dataset, variant),
                where=where,
            )
            self._resolved[pair] = self._with_sources(settings, path, where)
        return self._resolved[pair]

    def _with_sources(
        self, settings: AnyTrainingSettings, path: tuple[Pair, ...], where: str
    ) -> AnyTrainingSettings:
        """Let the settings of a training say which others it builds on, and of what settings.

        Thereby a change of those is a change of this one.
        """
        found: dict[str, Any] = {}
        start = settings.start_from
        if start is not None and start.variant is not None:
            dataset = self._standing_for(start.dataset, path, f"{where}: start_from")
            source = self.settings((dataset, start.variant), path)
            update = {"dataset": dataset, "settings_digest": settings_digest(source)}
            found["start_from"] = start.model_copy(update=update)
        if settings.proposals_from is not None:
            found |= self._given_boxes(settings, settings.proposals_from, path, where)
        return settings.model_copy(update=found) if found else settings

    def _given_boxes(
        self,
        settings: AnyTrainingSettings,
        boxes: ResolvedProposals,
        path: tuple[Pair, ...],
        where: str,
    ) -> dict[str, Any]:
        """Return what of a training's settings is other where its model is given boxes."""
        told = f"{where}: proposals_from"
        family = family_of(settings)
        if family.given_boxes is None:
            raise UserError(f"{told}: models of family {family.name} take no proposals")
        dataset = self._standing_for(boxes.dataset, path, told)
        source = self.variants[boxes.variant]
        if not kind_of(source).has_boxes:
            raise UserError(f"{told}: {boxes.variant} is {kind_of(source).models}, without boxes")
        way = resolve_inference(source, boxes.inference, where=told, preset=self.preset)
        models = [boxes.variant, *together(source, boxes.inference)]
        made_by = [
            settings_digest(self.settings((dataset, name), path))
            for name in models
            if is_trained(self.variants[name])
        ]
        return {
            "model": family.given_boxes(settings.model),
            "proposals_from": boxes.model_copy(
                update={
                    "dataset": dataset,
                    "source_digest": digest([*made_by, settings_digest(way)]),
                }
            ),
        }

    def _standing_for(self, role: str | None, path: tuple[Pair, ...], where: str) -> str:
        """Return the data set of a source: what stands for a role, or that of its follower."""
        if role is None:
            return path[-1][0]
        if role not in self.preset.datasets:
            raise UserError(
                f"{where}.dataset: {role!r} is not one of the preset's datasets "
                f"{sorted(self.preset.datasets)}"
            )
        return self.preset.datasets[role]

    def _protocol(self, dataset: str, variant: str) -> Mapping[str, Recipe]:
        """Recipes by which a variant's paper trains on what the data set stands for."""
        if self.datasets[dataset].own_recipes:
            return {}
        roles = [role for role, name in self.preset.datasets.items() if name == dataset]
        return self.trained_by[variant].recipes_for(roles)
