# One rule for each metric that is counted from a configured model; nothing is trained.
def add_count(metric):
    """Add the rule of a metric.

    In a function, since Snakemake evaluates the shell line when a job runs, by when a loop's variable
    has its last value.
    """

    rule:
        name:
            METRICS.find(metric).rule
        output:
            report(
                f"{RESULTS}/{Cost(TRAINED.variant, INFERENCE, metric).path}",
                caption="../report/cost.rst",
                category="Scores",
                subcategory="counted",
                labels=cost_labels(metric),
            ),
        log:
            f"{RESULTS}/{Cost(TRAINED.variant, INFERENCE, metric).log_path}",
        benchmark:
            f"{RESULTS}/{Cost(TRAINED.variant, INFERENCE, metric).benchmark_path}"
        conda:
            "../envs/pointrend_repro.yaml"
        threads: cost_job(metric).threads
        resources:
            **cost_job(metric).resources,
            device=device_of(JOBS.measure_time),
        params:
            settings=cost_digest(metric),
            in_force=cost_settings(metric),
            preset=SETTINGS.preset,
        message:
            (
                "Timing"
                if METRICS.find(metric).measured
                else "Counting the operations of"
            )
            + " {wildcards.variant} ({wildcards.inference})"
        shell:
            "pointrend-repro cost --preset {params.preset:q} --variant {wildcards.variant:q}"
            " --inference {wildcards.inference:q} --output {output:q} --config-dir config"
            + metric_option(metric)
            + " >{log:q} 2>&1"


for counted in GRID.counted:
    add_count(counted)
