NUMBERS = [f"{RESULTS}/{number.path}" for number in [*GRID.evaluations, *GRID.costs]]


rule collect:
    input:
        NUMBERS,
    output:
        metrics=f"{RESULTS}/{METRICS_FILE}",
        origins=f"{RESULTS}/{ORIGINS_FILE}",
        # `pointrend-repro collect` by hand, of an unfinished run, makes only the other two.
        all_there=f"{RESULTS}/{COLLECTED_FILE}",
    log:
        f"{RESULTS}/collect.log",
    benchmark:
        f"{RESULTS}/collect.benchmark.tsv"
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    params:
        columns=digest([*COLUMNS, *ORIGIN_COLUMNS]),
        preset=SETTINGS.preset,
        papers=SETTINGS.papers_option,
        lvis=SETTINGS.lvis_option,
    message:
        "Collecting {output.metrics}"
    shell:
        "pointrend-repro collect --preset {params.preset:q} {params.papers:q} {params.lvis:q}"
        " --config-dir config >{log:q} 2>&1 && touch {output.all_there:q}"


rule report:
    input:
        f"{RESULTS}/{METRICS_FILE}",
        f"{RESULTS}/{ORIGINS_FILE}",
        f"{RESULTS}/{COLLECTED_FILE}",
        f"{RESULTS}/claims",
        # To mark numbers that were made from other data.
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
            f"reports/{SETTINGS.preset}/{PAGE_FILE}",
            caption="../report/page.rst",
            category="The page",
            labels={"preset": SETTINGS.preset},
        ),
        papers=[
            report(
                f"reports/{SETTINGS.preset}/{path}",
                caption="../report/page.rst",
                category="The page",
                labels={"preset": SETTINGS.preset, "paper": paper},
            )
            for paper, path in page_paths(list(GRID.papers)).items()
            if path != PAGE_FILE
        ],
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
