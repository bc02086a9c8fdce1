# Checkpoints lie beside the model, undeclared: Snakemake deletes declared outputs before it runs
# a job again, and a training that was cut continues from them. The device is a resource, not a
# parameter: another one does not train anew.
rule train:
    input:
        f"{RESULTS}/{{dataset}}/dataset.json",
    output:
        model=f"{MODEL_DIR}/model.safetensors",
        origin=f"{MODEL_DIR}/model.origin.json",
    log:
        f"{MODEL_DIR}/train.log",
    benchmark:
        f"{MODEL_DIR}/train.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        device=SETTINGS.device,
    params:
        settings=training_digest,
        preset=SETTINGS.preset,
        data_root=data_root_option,
    message:
        "Training {wildcards.variant} on {wildcards.dataset}, trial {wildcards.trial}"
    shell:
        "pointrend-repro train --preset {params.preset} --dataset {wildcards.dataset}"
        " --variant {wildcards.variant} --trial {wildcards.trial} {params.data_root}"
        " --device {resources.device} --threads {threads} --config-dir config"
        " --output {output.model} >{log} 2>&1"
