# What the rules of figures.smk and pictures.smk ask for, and the report of them.
from pointrend_repro.base.provenance import digest
from pointrend_repro.experiments.nodes import dataset_path
from pointrend_repro.experiments.shown import (
    dataset_shown,
    datasets_shown,
    scores_shown,
    trainings_shown,
)
from pointrend_repro.reporting import captions

FIGURE = f"reports/{SETTINGS.preset}/figures/{{figure}}"


def drawn(wildcards):
    """The figure, or the picture of the page, that a job draws."""
    if "figure" in wildcards.keys():
        return GRID.drawn.figure(wildcards.figure)
    return GRID.drawn.picture(wildcards.picture)


def drawn_data(wildcards):
    """The records of the data sets whose images, or whose records themselves, are drawn."""
    figure = drawn(wildcards)
    names = [dataset_shown(GRID, figure), *datasets_shown(GRID, figure).values()]
    return [f"{RESULTS}/{dataset_path(name)}" for name in dict.fromkeys(names)]


def drawn_data_root_option(wildcards):
    """The command-line option that names the user's own folder of those images."""
    dataset = dataset_shown(GRID, drawn(wildcards))
    return SETTINGS.root_option(dataset, GRID.datasets[dataset].layout)


def drawn_models(wildcards):
    """The trained models that are drawn, and where they come from, or the scores."""
    shown = trainings_shown(GRID, drawn(wildcards)).values()
    scores = scores_shown(GRID, drawn(wildcards)).values()
    models = [path for training in shown for path in model_files(training)]
    return [*models, *(f"{RESULTS}/{score.path}" for score in scores)]


def drawn_digest(wildcards):
    """Changes when the preset's warning or test does, or what figures.yaml says beside defaults.

    Where it says nothing more, it is what it was before there was such a file.
    """
    more = drawn(wildcards).beside_the_defaults
    return digest([GRID.shown_with, more]) if more else GRID.shown_with


def picture_files(_):
    """What is drawn, or thinned out, for the page alone."""
    names = [f"{name}.json" for name in GRID.drawn_pictures]
    names += ["curves.csv"] if "curves" in GRID.preset.pictures else []
    return [f"reports/{SETTINGS.preset}/pictures/{name}" for name in names]


def figure_settings_in_force(wildcards):
    """What the models that a figure shows are trained with, beside the defaults."""
    trainings = trainings_shown(GRID, drawn(wildcards)).values()
    return captions.shown_in_force(GRID, [(t.dataset, t.variant) for t in trainings])
