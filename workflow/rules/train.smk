# Checkpoints lie beside the model, undeclared: Snakemake deletes declared outputs before it runs
# a job again, and an interrupted training continues from its checkpoints. The device, the number of
# GPUs and how the command is launched are resources, not parameters: changing them retrains nothing.
# The text of the command and the names of its parameters stay as they are, or Snakemake trains all
# models anew.
rule train:
    input:
        f"{RESULTS}/{dataset_path(TRAINED.dataset)}",
        ancient(weights_record),
        start_files,
    output:
        model=f"{RESULTS}/{TRAINED.model_path}",
        origin=f"{RESULTS}/{TRAINED.origin_path}",
    log:
        f"{RESULTS}/{TRAINED.log_path}",
    benchmark:
        f"{MODEL_DIR}/train.benchmark.tsv"
    wildcard_constraints:
        variant=by_engine("pointrend_repro"),
    conda:
        "../envs/pointrend_repro.yaml"
    threads: training_cpus
    resources:
        **{name: training_resource(name) for name in ASKED["train"].resources},
        runtime=training_runtime,
        process_threads=training_threads,
        launcher=training_launcher,
        device=SETTINGS.device,
        program=program,
    params:
        settings=training_digest,
        preset=SETTINGS.preset,
        data_root=training_options,
    message:
        "Training {wildcards.variant} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "{resources.launcher} {resources.program} train --preset {params.preset:q}"
        " --dataset {wildcards.dataset:q} --variant {wildcards.variant:q} --trial {wildcards.trial:q}"
        " {params.data_root:q} --device {resources.device:q} --threads {resources.process_threads:q} --config-dir config"
        " --output {output.model:q} >{log:q} 2>&1"


# The same command, in an environment that has detectron2 (docs/detectron2.md).
use rule train as train_with_detectron2 with:
    wildcard_constraints:
        variant=by_engine("detectron2"),
    conda:
        "../envs/detectron2.yaml"
