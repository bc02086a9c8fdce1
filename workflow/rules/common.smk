# What several files of rules use: the settings, the grid, and the checks before the first job.
import signal
import sys
import time
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

from pointrend_repro.config.reading import load_dataset
from pointrend_repro.config.variants import is_trained
from pointrend_repro.data.fetch.catalogue import load_catalogue
from pointrend_repro.data.fetch.planning import DownloadPlan
from pointrend_repro.data.paths import paths_of_all
from pointrend_repro.data.prepared import require_up_to_date
from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.own_clone import require_own_code
from pointrend_repro.experiments.nodes import (
    COLLECTED_FILE,
    METRICS_FILE,
    ORIGINS_FILE,
    PAGE_FILE,
    Training,
    page_paths,
)
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.base.names import NAME_PATTERN
from pointrend_repro.base.provenance import digest
from pointrend_repro.reporting.claims import JUDGED_BY, METHOD
from pointrend_repro.reporting.claims.files import JudgedClaim
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.collect import COLUMNS, ORIGIN_COLUMNS
from pointrend_repro.pipeline.kept_results import kept_in_words
from pointrend_repro.pipeline.resources import (
    ask,
    load_resources,
    machines_of,
)
from pointrend_repro.pipeline.start_checks import (
    require_files_of_the_past,
    require_places_to_write,
    require_slurm_settings,
    require_sound_data,
    require_workflow_profile,
    require_working_folder,
    trained_anew_in_words,
)
from pointrend_repro.pipeline.training_machines import require_machines
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

TRAINING_RULES = ("train", "train_with_detectron2")

# Patterns of what any training and any prediction of it leaves.
TRAINED = Training("{dataset}", "{variant}", "{trial}")
INFERENCE = "{inference}"


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
                if job.rule.name in TRAINING_RULES:
                    require_machines(
                        job.wildcards.variant,
                        GRID.training_settings(
                            job.wildcards.dataset, job.wildcards.variant
                        ),
                        machines_of_training(job.wildcards),
                    )
        except UserError as error:
            sys.exit(f"error: {error}")
        why = {
            str(job.output.model): str(workflow.dag.reason(job))
            for job in to_do
            if job.rule.name in TRAINING_RULES
        }
        if anew := trained_anew_in_words(why):
            print(f"warning: {anew}", file=sys.stderr)


def device_of(job):
    """Where a job computes. One that is given a GPU fails on a machine where that does not work.

    On the CPU it would time the wrong device, or begin a prediction anew. (`train` refuses by itself.)
    """
    return "cuda" if job.gpu else SETTINGS.device


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


def start_files(wildcards):
    """What a training builds on: a model, a prediction of its images, and the records of both.

    Not a file of weights: it is needed for the first update alone, and to touch it must not cost a
    training. The page says where another file is in its place.
    """
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


def model_files(training):
    """A trained model and its record."""
    return [f"{RESULTS}/{path}" for path in (training.model_path, training.origin_path)]


def training_of(wildcards):
    """The training whose model has these wildcards."""
    return Training(wildcards.dataset, wildcards.variant, int(wildcards.trial))


def data_root_option(wildcards):
    """The command-line option that names the user's own folder of a data set."""
    layout = GRID.datasets[wildcards.dataset].layout
    return SETTINGS.root_option(wildcards.dataset, layout)
