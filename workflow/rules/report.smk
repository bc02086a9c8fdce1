rule collect:
    input:
        [f"{RESULTS}/{evaluation.path}" for evaluation in GRID.evaluations],
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
        "pointrend-repro collect --preset {params.preset} {params.lvis} >{log} 2>&1"


rule report:
    input:
        f"{RESULTS}/metrics.csv",
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
        "pointrend-repro report --preset {params.preset} {params.lvis} >{log} 2>&1"
