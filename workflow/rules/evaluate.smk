rule predict:
    input:
        model=f"{MODEL_DIR}/model.safetensors",
        origin=f"{MODEL_DIR}/model.origin.json",
    output:
        predictions=f"{PREDICTION_DIR}/predictions.json",
        origin=f"{PREDICTION_DIR}/predictions.origin.json",
    log:
        f"{PREDICTION_DIR}/predict.log",
    benchmark:
        f"{PREDICTION_DIR}/predict.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        device=SETTINGS.device,
    params:
        settings=lambda wildcards: digest(
            GRID.inference_settings(wildcards.variant, wildcards.inference).model_dump(
                mode="json"
            )
        ),
        preset=SETTINGS.preset,
        data_root=data_root_option,
    message:
        "Predicting with {wildcards.variant} ({wildcards.inference}) on {wildcards.dataset},"
        " trial {wildcards.trial}"
    shell:
        "pointrend-repro predict --preset {params.preset} --dataset {wildcards.dataset}"
        " --variant {wildcards.variant} --inference {wildcards.inference} {params.data_root}"
        " --device {resources.device} --threads {threads} --config-dir config"
        " --model {input.model} --output {output.predictions} >{log} 2>&1"


# The same command: of a semantic model it fills a folder, one label image for each photograph.
use rule predict as predict_labels with:
    output:
        predictions=directory(f"{PREDICTION_DIR}/labels"),
        origin=f"{PREDICTION_DIR}/labels.origin.json",


rule evaluate:
    input:
        predictions=predictions,
        origin=predictions_origin,
    output:
        f"{PREDICTION_DIR}/{{metric}}.json",
    log:
        f"{PREDICTION_DIR}/{{metric}}.log",
    wildcard_constraints:
        metric="|".join(get_args(Metric)),
    conda:
        "../../environment.yml"
    params:
        ground_truth=ground_truth,
    message:
        "Scoring {wildcards.variant} ({wildcards.inference}) by {wildcards.metric},"
        " trial {wildcards.trial}"
    shell:
        "pointrend-repro evaluate {wildcards.metric} --ground-truth {params.ground_truth:q}"
        " --predictions {input.predictions} --output {output} >{log} 2>&1"
