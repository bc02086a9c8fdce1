# The same command for each kind of predictions, a file or a folder, for each split, and for each
# engine. An engine predicts with the models that it trained, in an environment that has it.
for kind, split, (engine, ending) in itertools.product(
    PREDICTION_KINDS_MADE,
    SPLITS_MADE,
    [("pointrend_repro", ""), ("detectron2", "_with_detectron2")],
):

    rule:
        name:
            f"{prediction_rule(PREDICTED[split], kind)}{ending}"
        input:
            model=f"{RESULTS}/{TRAINED.model_path}",
            origin=f"{RESULTS}/{TRAINED.origin_path}",
            others=other_models(split),
        output:
            predictions=predicted(kind, split),
            origin=f"{RESULTS}/{PREDICTED[split].origin_path(kind)}",
        log:
            f"{RESULTS}/{PREDICTED[split].log_path}",
        benchmark:
            f"{RESULTS}/{PREDICTED[split].folder}/predict.benchmark.tsv"
        wildcard_constraints:
            variant=by_engine(engine),
        conda:
            f"../envs/{engine}.yaml"
        threads: ASKED["predict"].threads
        resources:
            **ASKED["predict"].resources,
            device=device_of(JOBS.predict),
            program=prediction_program,
        params:
            settings=inference_digest,
            preset=SETTINGS.preset,
            # Under this name, since another one would predict all models anew.
            data_root=prediction_options(split),
        message:
            "Predicting with {wildcards.variant} ({wildcards.inference}) on {wildcards.dataset},"
            " trial {wildcards.trial}"
        shell:
            "{resources.program} predict --preset {params.preset:q} --dataset {wildcards.dataset:q}"
            " --variant {wildcards.variant:q} --inference {wildcards.inference:q}"
            " {params.data_root:q} --device {resources.device:q} --threads {threads:q} --config-dir config"
            " --model {input.model:q} --output {output.predictions:q} >{log:q} 2>&1"


# The same command for methods that are not trained: they have the images alone.
for name, split in UNTRAINED_MADE:

    rule:
        name:
            f"{prediction_rule(PREDICTED[split], PREDICTION_KINDS.find(name))}{UNTRAINED}"
        input:
            f"{RESULTS}/{dataset_path(TRAINED.dataset)}",
        output:
            predictions=predicted(PREDICTION_KINDS.find(name), split),
            origin=f"{RESULTS}/{PREDICTED[split].origin_path(PREDICTION_KINDS.find(name))}",
        log:
            f"{RESULTS}/{PREDICTED[split].log_path}",
        benchmark:
            f"{RESULTS}/{PREDICTED[split].folder}/predict.benchmark.tsv"
        wildcard_constraints:
            variant=one_of(n for n, v in GRID.variants.items() if not is_trained(v)),
        conda:
            "../envs/pointrend_repro.yaml"
        threads: ASKED["predict_untrained"].threads
        resources:
            **ASKED["predict_untrained"].resources,
        params:
            settings=inference_digest,
            preset=SETTINGS.preset,
            options=untrained_options(split),
        message:
            "Predicting with {wildcards.variant} ({wildcards.inference}) on {wildcards.dataset}"
        shell:
            "pointrend-repro propose --preset {params.preset:q} --dataset {wildcards.dataset:q}"
            " --variant {wildcards.variant:q} --inference {wildcards.inference:q}"
            " {params.options:q} --processes {threads:q} --config-dir config"
            " --output {output.predictions:q} >{log:q} 2>&1"


# One process scores a prediction by all of its metrics. A rule must write the same files in all of
# its jobs, so there is a rule for each set of metrics that occurs.
for metrics, scored in GRID.scored_by.items():

    rule:
        name:
            evaluation_rule(metrics)
        input:
            predictions=f"{RESULTS}/{SCORED.folder}/{kind_scored_by(metrics).path}",
            origin=f"{RESULTS}/{SCORED.folder}/{kind_scored_by(metrics).origin}",
        output:
            [
                report(
                    f"{RESULTS}/{Evaluation(SCORED, metric).path}",
                    caption="../report/score.rst",
                    category="Scores",
                    subcategory=dataset_of,
                    labels=score_labels(metric),
                )
                for metric in metrics
            ],
        log:
            f"{RESULTS}/{Evaluation(SCORED, metrics[0]).shared_log_path}",
            [f"{RESULTS}/{Evaluation(SCORED, metric).log_path}" for metric in metrics],
        benchmark:
            f"{RESULTS}/{SCORED.folder}/evaluate.benchmark.tsv"
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
