rule count_cost:
    output:
        f"{RESULTS}/cost/{{variant}}/{{inference}}.json",
    log:
        f"{RESULTS}/cost/{{variant}}/{{inference}}.log",
    conda:
        "../../environment.yml"
    params:
        settings=lambda wildcards: digest(
            [
                GRID.variants[wildcards.variant].model.model_dump(mode="json"),
                GRID.inference_settings(
                    wildcards.variant, wildcards.inference
                ).model_dump(mode="json"),
            ]
        ),
        preset=SETTINGS.preset,
    message:
        "Counting the operations of {wildcards.variant} ({wildcards.inference})"
    shell:
        "pointrend-repro cost --preset {params.preset} --variant {wildcards.variant}"
        " --inference {wildcards.inference} --output {output} --config-dir config >{log} 2>&1"


rule collect:
    input:
        [f"{RESULTS}/{number.path}" for number in [*GRID.evaluations, *GRID.costs]],
    output:
        f"{RESULTS}/metrics.csv",
    log:
        f"{RESULTS}/collect.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        preset=SETTINGS.preset,
        lvis=SETTINGS.lvis_option,
    message:
        "Collecting {output}"
    shell:
        "pointrend-repro collect --preset {params.preset} {params.lvis}"
        " --config-dir config >{log} 2>&1"


rule report:
    input:
        f"{RESULTS}/metrics.csv",
        expand(
            "reports/{preset}/figures/{figure}.{format}",
            preset=SETTINGS.preset,
            figure=GRID.preset.figures,
            format=["png", "json"],
        ),
    output:
        page=f"reports/{SETTINGS.preset}/index.html",
        tables=expand(
            "reports/{preset}/tables/{table}.{format}",
            preset=SETTINGS.preset,
            table=GRID.tables,
            format=["csv", "md", "tex"],
        ),
    log:
        f"{RESULTS}/report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        tables=digest({k: t.model_dump(mode="json") for k, t in GRID.tables.items()}),
        preset=SETTINGS.preset,
        lvis=SETTINGS.lvis_option,
    message:
        "Rendering {output.page}"
    shell:
        "pointrend-repro report --preset {params.preset} {params.lvis}"
        " --config-dir config >{log} 2>&1"
