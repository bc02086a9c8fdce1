rule count_cost:
    output:
        report(
            f"{RESULTS}/cost/{{variant}}/{{inference}}.json",
            caption="../report/cost.rst",
            category="Scores",
            subcategory="counted",
            labels=lambda wildcards: captions.number_labels(GRID, cost_of(wildcards)),
        ),
    log:
        f"{RESULTS}/cost/{{variant}}/{{inference}}.log",
    benchmark:
        f"{RESULTS}/cost/{{variant}}/{{inference}}.benchmark.tsv"
    conda:
        "../envs/pointrend_repro.yaml"
    threads: ASKED["count_cost"].threads
    resources:
        **ASKED["count_cost"].resources,
    params:
        settings=lambda wildcards: digest(
            [
                identity(GRID.variants[wildcards.variant].model),
                identity(
                    GRID.inference_settings(wildcards.variant, wildcards.inference)
                ),
                sorted(KEYS["mask_head_cost"]),
            ]
        ),
        in_force=lambda wildcards: captions.settings_in_force(GRID, cost_of(wildcards)),
        preset=SETTINGS.preset,
    message:
        "Counting the operations of {wildcards.variant} ({wildcards.inference})"
    shell:
        "pointrend-repro cost --preset {params.preset:q} --variant {wildcards.variant:q}"
        " --inference {wildcards.inference:q} --output {output:q} --config-dir config"
        " >{log:q} 2>&1"


rule collect:
    input:
        [f"{RESULTS}/{number.path}" for number in [*GRID.evaluations, *GRID.costs]],
    output:
        f"{RESULTS}/metrics.csv",
    log:
        f"{RESULTS}/collect.log",
    benchmark:
        f"{RESULTS}/collect.benchmark.tsv"
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    params:
        columns=digest(list(COLUMNS)),
        preset=SETTINGS.preset,
        papers=SETTINGS.papers_option,
        lvis=SETTINGS.lvis_option,
    message:
        "Collecting {output}"
    shell:
        "pointrend-repro collect --preset {params.preset:q} {params.papers:q} {params.lvis:q}"
        " --config-dir config >{log:q} 2>&1"


rule report:
    input:
        f"{RESULTS}/metrics.csv",
        f"{RESULTS}/claims",
        # To mark the numbers that were made of other data than these.
        [data_today(dataset) for dataset in sorted(GRID.datasets)],
        expand(
            "reports/{preset}/figures/{figure}.{format}",
            preset=SETTINGS.preset,
            figure=GRID.preset.figures,
            format=["png", "json"],
        ),
        picture_files,
    output:
        page=report(
            f"reports/{SETTINGS.preset}/index.html",
            caption="../report/page.rst",
            category="The page",
            labels={"preset": SETTINGS.preset},
        ),
        summary=f"reports/{SETTINGS.preset}/summary.json",
        tables=[
            report(
                f"reports/{SETTINGS.preset}/tables/{table}.csv",
                caption="../report/table.rst",
                category="Tables",
                labels={"table": captions.table_label(GRID, table)},
            )
            for table in GRID.tables
        ],
        texts=expand(
            "reports/{preset}/tables/{table}.{format}",
            preset=SETTINGS.preset,
            table=GRID.tables,
            format=["md", "tex"],
        ),
    log:
        f"{RESULTS}/report.log",
    benchmark:
        f"{RESULTS}/report.benchmark.tsv"
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    params:
        tables=digest({k: t.model_dump(mode="json") for k, t in GRID.tables.items()}),
        preset=SETTINGS.preset,
        warning=GRID.preset.warning or "",
        papers=SETTINGS.papers_option,
        lvis=SETTINGS.lvis_option,
    message:
        "Rendering {output.page}"
    shell:
        "pointrend-repro report --preset {params.preset:q} {params.papers:q} {params.lvis:q}"
        " --config-dir config >{log:q} 2>&1"
