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
    wildcard_constraints:
        variant=by_engine("pointrend_repro"),
    conda:
        "../../environment.yml"
    threads: ASKED["predict"].threads
    resources:
        **ASKED["predict"].resources,
        device=SETTINGS.device,
        program=program,
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
        "{resources.program} predict --preset {params.preset} --dataset {wildcards.dataset}"
        " --variant {wildcards.variant} --inference {wildcards.inference} {params.data_root}"
        " --device {resources.device} --threads {threads} --config-dir config"
        " --model {input.model} --output {output.predictions} >{log} 2>&1"


# The same command: of a semantic model it fills a folder, one label image for each photograph.
use rule predict as predict_labels with:
    output:
        predictions=directory(f"{PREDICTION_DIR}/labels"),
        origin=f"{PREDICTION_DIR}/labels.origin.json",


# In an environment that has detectron2, which predicts with what it has trained.
use rule predict as predict_with_detectron2 with:
    wildcard_constraints:
        variant=by_engine("detectron2"),
    conda:
        "../envs/detectron2.yaml"


use rule predict_labels as predict_labels_with_detectron2 with:
    wildcard_constraints:
        variant=by_engine("detectron2"),
    conda:
        "../envs/detectron2.yaml"


rule evaluate:
    input:
        predictions=predictions,
        origin=predictions_origin,
    output:
        report(
            f"{PREDICTION_DIR}/{{metric}}.json",
            caption="../report/score.rst",
            category="Scores",
            subcategory="{dataset}",
            labels=lambda wildcards: captions.number_labels(GRID, score_of(wildcards)),
        ),
    log:
        f"{PREDICTION_DIR}/{{metric}}.log",
    wildcard_constraints:
        metric="|".join(get_args(Metric)),
    conda:
        "../../environment.yml"
    threads: ASKED["evaluate"].threads
    resources:
        **ASKED["evaluate"].resources,
    params:
        ground_truth=ground_truth,
        in_force=lambda wildcards: captions.settings_in_force(GRID, score_of(wildcards)),
        resamples=GRID.preset.resamples,
    message:
        "Scoring {wildcards.variant} ({wildcards.inference}) by {wildcards.metric},"
        " trial {wildcards.trial}"
    shell:
        "pointrend-repro evaluate {wildcards.metric} --ground-truth {params.ground_truth:q}"
        " --predictions {input.predictions} --output {output}"
        " --resamples {params.resamples} >{log} 2>&1"
