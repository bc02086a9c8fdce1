# What the rules of count.smk ask for.
from pointrend_repro.base.provenance import digest
from pointrend_repro.config.reading import as_measured
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.nodes import Cost
from pointrend_repro.reporting import captions
from pointrend_repro.settings.identity import identity


def cost_labels(metric):
    """What gives the labels of the files of a metric that is counted."""
    return lambda wildcards: captions.number_labels(
        GRID, Cost(wildcards.variant, wildcards.inference, metric)
    )


def cost_settings(metric):
    """What gives the settings that are counted with."""
    return lambda wildcards: captions.settings_in_force(
        GRID, Cost(wildcards.variant, wildcards.inference, metric)
    )


def metric_option(metric):
    """The words that name a metric to `cost`, part of the rule's own shell line.

    Snakemake runs again what was made by another line, so the first metric's is left as it was.
    """
    if METRICS.find(metric).measured:
        return (
            f" --metric {metric} --device {{resources.device:q}} --threads {{threads}}"
        )
    return "" if metric == "mask_head_cost" else f" --metric {metric}"


def cost_job(metric):
    """Threads and resources for what a metric counts, or measures on some device."""
    return ASKED["measure_time" if METRICS.find(metric).measured else "count_cost"]


def cost_digest(metric):
    """What changes when a setting does, or a key of the metric, that a count depends on."""
    declared = METRICS.find(metric)

    def made_with(wildcards):
        variant = GRID.variants[wildcards.variant]
        settings = [variant.model]
        if declared.measured:
            where = GRID.variant_files[wildcards.variant]
            settings = as_measured(GRID.preset, variant, where=where)
        asked = GRID.inference_settings(wildcards.variant, wildcards.inference)
        values = [identity(each) for each in [*settings, asked]]
        return digest([*values, sorted(declared.keys)])

    return made_with
