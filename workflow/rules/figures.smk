rule draw_figure:
    input:
        data=figure_data,
        models=figure_models,
    output:
        png=f"{FIGURE}.png",
        pdf=f"{FIGURE}.pdf",
        json=f"{FIGURE}.json",
    log:
        f"{RESULTS}/figures/{{figure}}.log",
    wildcard_constraints:
        figure=r"figure\d+",
    conda:
        "../../environment.yml"
    threads: 1
    params:
        preset=SETTINGS.preset,
        warning=digest(GRID.preset.warning),
        data_root=figure_data_root_option,
    message:
        "Drawing {wildcards.figure}"
    shell:
        "pointrend-repro figure {wildcards.figure} --preset {params.preset} {params.data_root}"
        " --threads {threads} --config-dir config --output {output.png} >{log} 2>&1"
