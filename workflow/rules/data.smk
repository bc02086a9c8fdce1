# Only the record is declared: Snakemake deletes declared outputs before it runs a job again, and
# nobody wants to fetch COCO twice.
rule fetch_data:
    output:
        "data/.fetched/{download}.json",
    log:
        "logs/fetch/{download}.log",
    wildcard_constraints:
        download=one_of(FETCHED),
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    message:
        "Fetching {wildcards.download}"
    shell:
        "pointrend-repro data fetch {wildcards.download:q} --config-dir config >{log:q} 2>&1"


# The same command: if the data are already in place, it counts them and fetches nothing.
use rule fetch_data as count_data with:
    wildcard_constraints:
        download=one_of(FOUND),
    message:
        "Counting {wildcards.download}, which is already there"


rule generate_data:
    output:
        directory("data/{dataset}"),
    log:
        "logs/{dataset}/generate.log",
    benchmark:
        "logs/{dataset}/generate.benchmark.tsv"
    # Or the user's own data/NAME, as the folder of images, would count as what this rule draws.
    wildcard_constraints:
        dataset=one_of(n for n, d in GRID.datasets.items() if d.generate),
    conda:
        "../envs/pointrend_repro.yaml"
    threads: ASKED["generate_data"].threads
    resources:
        **ASKED["generate_data"].resources,
    params:
        settings=lambda wildcards: digest(
            [
                RENDERER_VERSION,
                identity(GRID.datasets[wildcards.dataset].generate),
            ]
        ),
    message:
        "Generating the scenes of {wildcards.dataset}"
    shell:
        "pointrend-repro data generate --dataset {wildcards.dataset:q}"
        " --config-dir config >{log:q} 2>&1"


rule prepare_cityscapes:
    input:
        generated_folder,
        data_records,
    output:
        "data/{dataset}_instances/instances_train.json",
        "data/{dataset}_instances/instances_val.json",
    log:
        "logs/{dataset}/prepare.log",
    benchmark:
        "logs/{dataset}/prepare.benchmark.tsv"
    wildcard_constraints:
        dataset=one_of(n for n, d in GRID.datasets.items() if d.layout == "cityscapes"),
    conda:
        "../envs/pointrend_repro.yaml"
    threads: ASKED["prepare_cityscapes"].threads
    resources:
        **ASKED["prepare_cityscapes"].resources,
    params:
        data_root=data_root_option,
    message:
        "Writing the instances of {wildcards.dataset} as COCO annotations"
    shell:
        "pointrend-repro data prepare --dataset {wildcards.dataset:q} {params.data_root:q}"
        " --config-dir config >{log:q} 2>&1"


# As of the images that a paper calls the first of a split.
rule prepare_first_images:
    input:
        generated_folder,
        data_records,
    output:
        "data/{dataset}_first/instances_val.json",
    log:
        "logs/{dataset}/first_images.log",
    wildcard_constraints:
        dataset=one_of(n for n, d in GRID.datasets.items() if d.val_first is not None),
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    params:
        first=lambda wildcards: GRID.datasets[wildcards.dataset].val_first,
        data_root=data_root_option,
    message:
        "Taking the first {params.first} validation images of {wildcards.dataset}"
    shell:
        "pointrend-repro data prepare --dataset {wildcards.dataset:q} {params.data_root:q}"
        " --config-dir config >{log:q} 2>&1"


# Where a data set has no val that can be scored, a part of train.
rule prepare_own_split:
    input:
        generated_folder,
        data_records,
    output:
        "data/{dataset}_parts/instances_train.json",
        "data/{dataset}_parts/instances_val.json",
    log:
        "logs/{dataset}/own_split.log",
    wildcard_constraints:
        dataset=one_of(n for n, d in GRID.datasets.items() if d.val_from_train),
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    params:
        number=lambda wildcards: GRID.datasets[wildcards.dataset].val_from_train,
        seed=lambda wildcards: GRID.datasets[wildcards.dataset].split_seed,
        data_root=data_root_option,
    message:
        "Taking {params.number} images out of the training images of {wildcards.dataset}"
    shell:
        "pointrend-repro data prepare --dataset {wildcards.dataset:q} {params.data_root:q}"
        " --config-dir config >{log:q} 2>&1"


# The user's own LVIS annotations are a resource, not a parameter: naming them later does not check
# the data again.
rule check_data:
    input:
        data_records,
        data_files,
    output:
        f"{RESULTS}/{dataset_path(TRAINED.dataset)}",
    log:
        f"{RESULTS}/{dataset_log_path(TRAINED.dataset)}",
    benchmark:
        f"{RESULTS}/{{dataset}}/check.benchmark.tsv"
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    resources:
        lvis=SETTINGS.lvis_option,
    params:
        data_root=data_root_option,
    message:
        "Checking the data set {wildcards.dataset}"
    shell:
        "pointrend-repro data check --dataset {wildcards.dataset:q} --output {output:q}"
        " {params.data_root:q} {resources.lvis:q} --config-dir config >{log:q} 2>&1"


# The data as they are when the report is made, to mark numbers that were made from other data. This
# retrains nothing: days of work are not thrown away because a file has changed.
use rule check_data as check_data_again with:
    input:
        f"{RESULTS}/{METRICS_FILE}",
        changeable_data,
    output:
        f"{RESULTS}/{data_today_path(TRAINED.dataset)}",
    log:
        f"{RESULTS}/{{dataset}}/check_again.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/check_again.benchmark.tsv"
    message:
        "Checking whether the data set {wildcards.dataset} has changed"
