import functools
import itertools
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from snakemake.settings.types import DeploymentMethod

from pointrend_repro.config.reading import as_measured, load_dataset
from pointrend_repro.config.variants import is_trained, kind_of
from pointrend_repro.declarations.family import family_of
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.declarations.prediction_kind import PREDICTION_KINDS
from pointrend_repro.data.fetch.catalogue import load_catalogue
from pointrend_repro.data.fetch.planning import DownloadPlan
from pointrend_repro.settings.generated import RENDERER_VERSION
from pointrend_repro.data.paths import paths_of_all
from pointrend_repro.data.prepared import require_up_to_date
from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.own_clone import require_own_code
from pointrend_repro.experiments.nodes import (
    COLLECTED_FILE,
    METRICS_FILE,
    ORIGINS_FILE,
    PAGE_FILE,
    UNTRAINED,
    Cost,
    Evaluation,
    Prediction,
    Training,
    data_today_path,
    dataset_log_path,
    dataset_path,
    evaluation_rule,
    page_paths,
    prediction_rule,
)
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.identity import identity, settings_digest
from pointrend_repro.base.names import NAME_PATTERN
from pointrend_repro.base.provenance import digest
from pointrend_repro.reporting.claims import METHOD
from pointrend_repro.reporting.claims.files import JudgedClaim
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting import captions
from pointrend_repro.reporting.collect import COLUMNS, ORIGIN_COLUMNS
from pointrend_repro.experiments.shown import (
    dataset_shown,
    datasets_shown,
    scores_shown,
    trainings_shown,
)
from pointrend_repro.pipeline.kept_results import kept_in_words
from pointrend_repro.pipeline.resources import (
    ask,
    launcher,
    load_resources,
    machines_of,
    prediction_launcher,
    process_threads,
    training_runtime_min,
)
from pointrend_repro.pipeline.start_checks import (
    require_files_of_the_past,
    require_places_to_write,
    require_slurm_settings,
    require_sound_data,
    require_workflow_profile,
    require_working_folder,
)
from pointrend_repro.pipeline.training_machines import (
    require_machines,
    training_machines,
)
from pointrend_repro.pipeline.workflow import read_workflow_config

# Slurm warns a training of its time limit by this signal, and Snakemake around it must outlive it.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

try:
    if workflow.is_main_process:
        require_own_code(Path(workflow.main_snakefile).parent)
        require_workflow_profile(sys.argv[1:], Path(workflow.main_snakefile))
        require_working_folder()
    SETTINGS = read_workflow_config(config)
    SETTINGS.share_changes()
    # The folder beside config.yaml, which every command is given too: the installed package's
    # own may be another copy.
    GRID = load_grid(
        SETTINGS.preset, Path("config"), SETTINGS.user_data, SETTINGS.papers
    )
    SETTINGS.require_engines(
        [variant.engine for variant in GRID.variants.values()],
        in_conda=DeploymentMethod.CONDA
        in workflow.deployment_settings.deployment_method,
    )
    CLAIMS = load_claims(Path("config"), list(GRID.papers))
    for name in SETTINGS.roots:
        load_dataset(name, Path("config"))  # a misspelt name would be nobody's
    DATA = paths_of_all(
        GRID.datasets,
        {"coco": SETTINGS.user_data, "cityscapes": SETTINGS.cityscapes_data},
        SETTINGS.roots,
    )
    RESOURCES = load_resources(Path("config"))
    DOWNLOADS = DownloadPlan(load_catalogue(Path("config")))
    FOUND, FETCHED = DOWNLOADS.found(), DOWNLOADS.fetched()
except UserError as error:
    sys.exit(f"error: {error}")

JOBS = (
    RESOURCES.gpu
    if SETTINGS.asks_for_gpu(needs_gpu=GRID.preset.needs_gpu)
    else RESOURCES.cpu
)
# Trainings and predictions take as many GPUs as they are given; every other job takes one, or none.
TRAINING_MACHINES = machines_of(JOBS.train, SETTINGS.gpus, SETTINGS.nodes)
PREDICTION_MACHINES = machines_of(
    JOBS.predict, SETTINGS.predict_gpus, SETTINGS.predict_nodes
)
MACHINES = {"train": TRAINING_MACHINES, "predict": PREDICTION_MACHINES}
ASKED = {
    rule_name: ask(
        job,
        MACHINES.get(rule_name, machines_of(job, 1, 1)),
        SETTINGS.slurm,
    )
    for rule_name, job in JOBS
}

# Without Slurm no job is given GPUs of its own: each takes the first ones. Two at once would run out
# of memory, or falsify what is timed. `--resources gpu_jobs=2` allows it.
if SETTINGS.slurm is None and "gpu_jobs" not in workflow.global_resources:
    workflow.global_resources["gpu_jobs"] = 1

RESULTS = f"results/{SETTINGS.preset}"
if workflow.is_main_process and (kept := kept_in_words(GRID, Path(RESULTS))):
    print(f"warning: {kept}", file=sys.stderr)

# Patterns of what any training and any prediction of it leaves.
TRAINED = Training("{dataset}", "{variant}", "{trial}")
INFERENCE = "{inference}"
PREDICTED = {s: Prediction(TRAINED, INFERENCE, split=s) for s in ("val", "train")}
# A prediction that is scored is known by its folder alone.
SCORED = SimpleNamespace(folder="{prediction}")
MODEL_DIR = f"{RESULTS}/{TRAINED.folder}"
FIGURE = f"reports/{SETTINGS.preset}/figures/{{figure}}"


# Here, and not above, because only now it is known what will run: who only looks at finished
# results may have them where they cannot be written, or dated anyhow.
onstart:
    if workflow.is_main_process and not workflow.touch:
        to_do = list(workflow.dag.needrun_jobs())
        made = {file for job in to_do for file in job.output}
        noted = {
            file for job in to_do for file in [*job.log, job.benchmark] if file
        }
        read = {file for job in to_do for file in job.input} - made
        try:
            # A dry run does not know who would run the jobs.
            require_slurm_settings(workflow.executor_plugin.name, SETTINGS.slurm)
            require_places_to_write(made | noted)
            require_files_of_the_past(read, time.time())
            for job in to_do:
                if job.rule.name == "check_data" and made.isdisjoint(job.input):
                    paths = DATA[job.wildcards.dataset]
                    require_up_to_date(
                        paths, paths.train_annotations, paths.val_annotations
                    )
                    require_sound_data(data_check(job.wildcards), job.output[0])
                if job.rule.name in ("train", "train_with_detectron2"):
                    require_machines(
                        job.wildcards.variant,
                        GRID.training_settings(
                            job.wildcards.dataset, job.wildcards.variant
                        ),
                        machines_of_training(job.wildcards),
                    )
        except UserError as error:
            sys.exit(f"error: {error}")


def generated_folder(wildcards):
    """The folder that a generated data set is drawn into; other sets have to be there already."""
    dataset = GRID.datasets[wildcards.dataset]
    return [dataset.root] if dataset.generate else []


def one_of(names):
    """A pattern for a wildcard, which nothing matches if there are no names."""
    return "|".join(sorted(names)) or "(?!)"


wildcard_constraints:
    dataset=one_of(GRID.datasets),
    variant=one_of(GRID.variants),
    trial=r"\d+",
    inference=NAME_PATTERN,


def by_engine(engine):
    """A pattern for the wildcard of the variants that an engine trains and predicts with."""
    names = [
        name
        for name, v in GRID.variants.items()
        if v.engine == engine and is_trained(v)
    ]
    return one_of(names)


def program(wildcards):
    """The command of a rule that computes with a variant's engine."""
    return SETTINGS.program(GRID.variants[wildcards.variant].engine)


def prediction_program(wildcards):
    """That command, started once for each of a prediction's GPUs."""
    threads = ASKED["predict"].threads
    started = prediction_launcher(PREDICTION_MACHINES, threads, SETTINGS.slurm)
    return started + program(wildcards)


def data_check(wildcards):
    """The command of the rule check_data, but for its output."""
    options = [data_root_option(wildcards), SETTINGS.lvis_option]
    command = ["pointrend-repro", "data", "check", "--dataset", wildcards.dataset]
    return [*command, *filter(None, options), "--config-dir", "config"]


def usual_root(wildcards):
    """Where a data set lies by its configuration; None if the user has named another place."""
    dataset = GRID.datasets[wildcards.dataset]
    is_usual = str(DATA[wildcards.dataset].root) == dataset.root
    return dataset.root if is_usual else None


def data_records(wildcards):
    """Records of the downloads that a data set comes from: fetched, or found and counted."""
    root, dataset = usual_root(wildcards), GRID.datasets[wildcards.dataset]
    paths = (
        [root, *(f"{root}/{file}" for file in dataset.unusual_annotations)]
        if root
        else []
    )
    return list(
        dict.fromkeys(record for path in paths for record in DOWNLOADS.record(path))
    )


def weights_record(wildcards):
    """Record of the download of the ImageNet weights that a training starts from."""
    return list(record_of_weights(wildcards.dataset, wildcards.variant))


# All trials of a variant ask the same: of thousands of jobs, only some dozens have answers to find.
@functools.cache
def record_of_weights(dataset, variant):
    model = GRID.training_settings(dataset, variant).model
    return tuple(DOWNLOADS.record(family_of(model).weights(model)))


def start_files(wildcards):
    """What a training builds on: a model, a prediction of its images, and the records of both."""
    training = training_of(wildcards)
    source, boxes = GRID.source_of(training), GRID.boxes_of(training, "train")
    return [*(model_files(source) if source else []), *prediction_files(boxes)]


def prediction_files(prediction):
    """A prediction and its record; none if there is no prediction."""
    if prediction is None:
        return []
    kind = GRID.kind_of(prediction)
    paths = prediction.path(kind), prediction.origin_path(kind)
    return [f"{RESULTS}/{path}" for path in paths]


def training_options(wildcards):
    """The options that name the user's own folder of data, and those files, if there are any."""
    root, training = data_root_option(wildcards), training_of(wildcards)
    source, boxes = GRID.source_of(training), GRID.boxes_of(training, "train")
    given = [f"--start-from={RESULTS}/{source.model_path}"] if source else []
    given += [f"--proposals={file}" for file in prediction_files(boxes)[:1]]
    return [*given, *filter(None, [root])] if given else root


def other_models(split):
    """What gives the models that predict together with a prediction's own, and given boxes."""

    def files(wildcards):
        models = [m for t in others_of(wildcards, split) for m in model_files(t)]
        boxes = GRID.boxes_of(training_of(wildcards), split)
        return [*models, *prediction_files(boxes)]

    return files


def prediction_options(split):
    """What gives the options: those files, the split, and the user's own folder of data."""

    def options(wildcards):
        root, others = data_root_option(wildcards), others_of(wildcards, split)
        boxes = GRID.boxes_of(training_of(wildcards), split)
        given = [f"--with-model={RESULTS}/{t.model_path}" for t in others]
        given += [f"--proposals={file}" for file in prediction_files(boxes)[:1]]
        given += [] if split == "val" else [f"--split={split}"]
        return [*given, *filter(None, [root])] if given else root

    return options


def untrained_options(split):
    """What gives the options of a prediction without a model: split, and the user's own folder."""
    given = [] if split == "val" else [f"--split={split}"]
    return lambda wildcards: [*given, *filter(None, [data_root_option(wildcards)])]


def others_of(wildcards, split):
    """The trainings of the models that predict together with a prediction's own."""
    made = Prediction(training_of(wildcards), wildcards.inference, split=split)
    return PREDICTIONS[made.folder].others if made.folder in PREDICTIONS else ()


def model_files(training):
    """A trained model and its record."""
    return [f"{RESULTS}/{path}" for path in (training.model_path, training.origin_path)]


def training_of(wildcards):
    """The training whose model has these wildcards."""
    return Training(wildcards.dataset, wildcards.variant, int(wildcards.trial))


def data_files(wildcards):
    """What is made of a data set before it can be checked."""
    paths = DATA[wildcards.dataset]
    dataset = GRID.datasets[wildcards.dataset]
    if dataset.layout == "cityscapes":
        return [paths.train_annotations, paths.val_annotations]
    if dataset.val_from_train is not None:
        return [
            *generated_folder(wildcards),
            paths.train_annotations,
            paths.val_annotations,
        ]
    if dataset.val_first is not None:
        return [*generated_folder(wildcards), paths.val_annotations]
    return generated_folder(wildcards)


def changeable_data(wildcards):
    """Files and folders of a data set that is not ours, whose times show that it has changed.

    What is not there is not asked for here: the check tells in one line what is missing.
    """
    paths = DATA[wildcards.dataset]
    names = ("train_annotations", "val_annotations", "train_images", "val_images")
    found = [path for name in names if (path := getattr(paths, name)).exists()]
    if paths.prepared_from is not None and paths.prepared_from.is_file():
        found.append(paths.prepared_from)
    if GRID.datasets[wildcards.dataset].layout == "cityscapes":
        found = [
            path
            for kind in ("leftImg8bit", "gtFine")
            for split in ("train", "val")
            for path in paths.root.glob(f"{kind}/{split}/*/")
        ]
    return sorted(str(path) for path in found)


def data_today(dataset):
    """The record of a data set when the report is made; ours do not change by themselves."""
    path = dataset_path if GRID.datasets[dataset].generate else data_today_path
    return f"{RESULTS}/{path(dataset)}"


def data_root_option(wildcards):
    """The command-line option that names the user's own folder of a data set."""
    layout = GRID.datasets[wildcards.dataset].layout
    return SETTINGS.root_option(wildcards.dataset, layout)


def machines_of_training(wildcards):
    """What a training runs on: of the GPUs that it is offered, as many as it can use."""
    settings = GRID.training_settings(wildcards.dataset, wildcards.variant)
    return training_machines(settings, TRAINING_MACHINES)


def asked_of_training(wildcards):
    """What a training's job requests."""
    return ask(JOBS.train, machines_of_training(wildcards), SETTINGS.slurm)


def training_cpus(wildcards):
    """CPUs of a training's job, of one machine."""
    return asked_of_training(wildcards).threads


def training_resource(name):
    """One of the resources of a training's job."""
    return lambda wildcards: asked_of_training(wildcards).resources[name]


def training_runtime(wildcards):
    """Time limit of a training's job in minutes."""
    machines = machines_of_training(wildcards)
    return training_runtime_min(JOBS.train, wildcards.variant, machines, SETTINGS.slurm)


def training_threads(wildcards, threads):
    """Threads of each process of a training, beside those that load its images."""
    settings = GRID.training_settings(wildcards.dataset, wildcards.variant)
    machines = machines_of_training(wildcards)
    return process_threads(threads, machines, settings.run.loader_workers)


def training_launcher(wildcards):
    """The command prefix that starts a training on its machines."""
    machines = machines_of_training(wildcards)
    return launcher(machines, training_cpus(wildcards), SETTINGS.slurm)


def training_digest(wildcards):
    """Changes when a setting does that decides the weights."""
    return digest_of_training(wildcards.dataset, wildcards.variant)


@functools.cache
def digest_of_training(dataset, variant):
    return settings_digest(GRID.training_settings(dataset, variant))


def inference_digest(wildcards):
    """Changes when a setting does that decides predictions."""
    return digest_of_inference(wildcards.variant, wildcards.inference)


@functools.cache
def digest_of_inference(variant, inference):
    return settings_digest(GRID.inference_settings(variant, inference))


PREDICTIONS = {prediction.folder: prediction for prediction in GRID.predictions}


SPLITS_MADE = ["val"] + sorted({p.split for p in GRID.predictions} - {"val"})


# Predictions of methods that are not trained, by what their rules are made for.
UNTRAINED_MADE = sorted(
    {(GRID.kind_of(p).name, p.split) for p in GRID.predictions if not GRID.models_of(p)}
)


PREDICTION_KINDS_MADE = sorted(
    {kind_of(variant) for variant in GRID.variants.values()}, key=lambda kind: kind.name
)


def predicted(kind, split):
    """The file, or the folder, of predictions of a kind."""
    path = f"{RESULTS}/{PREDICTED[split].path(kind)}"
    return directory(path) if kind.is_folder else path


def kind_scored_by(metrics):
    """The kind of the predictions that metrics score: those of one prediction are of one."""
    return Evaluation(SCORED, metrics[0]).kind


def ground_truth(dataset, metric):
    """The annotations, or Cityscapes' folder, that a metric is scored against."""
    return DATA[dataset].truth(METRICS.find(metric).truth)


def ground_truths_of(metrics):
    """What says, for each job, which metric is scored against what."""

    def arguments(wildcards):
        dataset = PREDICTIONS[wildcards.prediction].training.dataset
        # As text: Snakemake does not notice another Path.
        return [f"{metric}={ground_truth(dataset, metric)}" for metric in metrics]

    return arguments


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


def dataset_of(wildcards):
    """The data set of a prediction."""
    return PREDICTIONS[wildcards.prediction].training.dataset


def score_labels(metric):
    """What gives the labels of a metric's files."""
    return lambda wildcards: captions.number_labels(
        GRID, Evaluation(PREDICTIONS[wildcards.prediction], metric)
    )


def score_settings(metrics):
    """What gives the settings that numbers of these metrics are made with."""

    def told(wildcards):
        prediction = PREDICTIONS[wildcards.prediction]
        training = prediction.training
        names = training.dataset, training.variant, prediction.inference
        if names not in SETTINGS_TOLD:  # for another trial
            SETTINGS_TOLD[names] = captions.settings_in_force(
                GRID, Evaluation(prediction, metrics[0])
            )
        return SETTINGS_TOLD[names]

    return told


SETTINGS_TOLD = {}


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


def figure_settings_in_force(wildcards):
    """What the models that a figure shows are trained with, beside the defaults."""
    trainings = trainings_shown(GRID, drawn(wildcards)).values()
    return captions.shown_in_force(GRID, [(t.dataset, t.variant) for t in trainings])
