rule draw_picture:
    input:
        data=drawn_data,
        models=drawn_models,
    output:
        f"reports/{SETTINGS.preset}/pictures/{{picture}}.json",
    log:
        f"{RESULTS}/pictures/{{picture}}.log",
    benchmark:
        f"{RESULTS}/pictures/{{picture}}.benchmark.tsv"
    wildcard_constraints:
        picture=one_of(GRID.drawn.pictures),
    conda:
        "../envs/pointrend_repro.yaml"
    threads: ASKED["draw_picture"].threads
    resources:
        **ASKED["draw_picture"].resources,
    params:
        preset=SETTINGS.preset,
        drawn=drawn_digest,
        data_root=drawn_data_root_option,
    message:
        "Drawing the picture {wildcards.picture}"
    shell:
        "pointrend-repro picture {wildcards.picture:q} --preset {params.preset:q}"
        " {params.data_root:q} --threads {threads:q} --config-dir config --output {output:q} >{log:q} 2>&1"


# A training's log lies beside its model, undeclared: an interrupted training continues it.
rule thin_logs:
    input:
        [f"{RESULTS}/{training.origin_path}" for training in GRID.trainings],
    output:
        f"reports/{SETTINGS.preset}/pictures/curves.csv",
    log:
        f"{RESULTS}/pictures/curves.log",
    benchmark:
        f"{RESULTS}/pictures/curves.benchmark.tsv"
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    params:
        preset=SETTINGS.preset,
        papers=SETTINGS.papers_option,
    message:
        "Thinning the training logs into {output}"
    shell:
        "pointrend-repro curves --preset {params.preset:q} {params.papers:q} --config-dir config"
        " --output {output:q} >{log:q} 2>&1"
