"""The variants that others build on: start from, or predict together with."""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.reading import load_variant
from pointrend_repro.config.variants import Variant, together
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Prediction
from pointrend_repro.settings.schedule import OWN_ENGINE


def with_sources(variants: dict[str, Variant], config_dir: Path) -> dict[str, Variant]:
    """Add the variants that these start from or predict with, which no table need show.

    Raises:
        UserError: there is no such variant, or its file is wrong.
    """
    found, waiting = dict(variants), list(variants.values())
    while waiting:
        variant = waiting.pop()
        named = [other for way in variant.inference for other in together(variant, way)]
        named += [source.variant for source in variant.sources]
        for name in sorted(set(named) - set(found)):
            found[name] = load_variant(name, config_dir)
            waiting.append(found[name])
    return found


def require_can_predict_together(grid: Grid, prediction: Prediction) -> None:
    """Refuse models that cannot predict together.

    Raises:
        UserError: one is of another family, is another engine's, is given boxes, or is there twice.
    """
    names = [training.variant for training in prediction.trainings]
    family = grid.variants[names[0]].family
    for name in names if prediction.others else ():
        where = (
            f"{grid.variant_files[names[0]]}: inference {prediction.inference!r}: ensemble.variants"
        )
        variant = grid.variants[name]
        if variant.family != family:
            raise UserError(
                f"{where}: {name} is of family {variant.family}, whose models do not predict "
                f"together with those of {family}"
            )
        if variant.engine != OWN_ENGINE:
            raise UserError(f"{where}: {name} predicts by {variant.engine}, alone")
        if grid.variants[names[0]].proposals_from or variant.proposals_from:
            raise UserError(f"{where}: {name} or the variant itself has proposals_from")
        if names.count(name) > 1:
            raise UserError(f"{where}: {name} is the variant itself, whose model is in it anyway")
