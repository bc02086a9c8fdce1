rule predict:
    input:
        model=f"{MODEL_DIR}/model.safetensors",
        origin=f"{MODEL_DIR}/model.origin.json",
        others=other_models,
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
        "../envs/pointrend_repro.yaml"
    threads: ASKED["predict"].threads
    resources:
        **ASKED["predict"].resources,
        device=SETTINGS.device,
        program=program,
    params:
        settings=lambda wildcards: settings_digest(
            GRID.inference_settings(wildcards.variant, wildcards.inference)
        ),
        preset=SETTINGS.preset,
        # Under this name, since another one would predict all models anew.
        data_root=prediction_options,
    message:
        "Predicting with {wildcards.variant} ({wildcards.inference}) on {wildcards.dataset},"
        " trial {wildcards.trial}"
    shell:
        "{resources.program} predict --preset {params.preset:q} --dataset {wildcards.dataset:q}"
        " --variant {wildcards.variant:q} --inference {wildcards.inference:q}"
        " {params.data_root:q} --device {resources.device:q} --threads {threads:q} --config-dir config"
        " --model {input.model:q} --output {output.predictions:q} >{log:q} 2>&1"


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


# One process scores a prediction by all of its metrics. What a rule writes is the same for all of
# its jobs, so there is a rule for each set of metrics that some predictions are scored by.
for metrics, scored in GRID.scored_by.items():

    rule:
        name:
            evaluation_rule(metrics)
        input:
            predictions=f"{RESULTS}/{{prediction}}/{predictions_of(metrics)}",
            origin=f"{RESULTS}/{{prediction}}/{origin_of(metrics)}",
        output:
            [
                report(
                    f"{RESULTS}/{{prediction}}/{metric}.json",
                    caption="../report/score.rst",
                    category="Scores",
                    subcategory=dataset_of,
                    labels=score_labels(metric),
                )
                for metric in metrics
            ],
        log:
            f"{RESULTS}/{{prediction}}/evaluate.log",
            [f"{RESULTS}/{{prediction}}/{metric}.log" for metric in metrics],
        benchmark:
            f"{RESULTS}/{{prediction}}/evaluate.benchmark.tsv"
        wildcard_constraints:
            prediction=one_of(prediction.folder for prediction in scored),
        conda:
            "../envs/pointrend_repro.yaml"
        threads: ASKED["evaluate"].threads
        resources:
            **ASKED["evaluate"].resources,
        params:
            folder=lambda wildcards, output: Path(output[0]).parent,
            ground_truths=ground_truths_of(metrics),
            in_force=score_settings(metrics),
            resamples=GRID.preset.resamples,
        message:
            "Scoring {wildcards.prediction}"
        shell:
            "pointrend-repro evaluate-all {params.ground_truths:q}"
            " --predictions {input.predictions:q} --output {params.folder:q}"
            " --resamples {params.resamples:q} >{log[0]:q} 2>&1"
