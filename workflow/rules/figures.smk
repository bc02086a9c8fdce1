rule draw_figure:
    input:
        data=drawn_data,
        models=drawn_models,
    output:
        png=report(
            f"{FIGURE}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        pdf=f"{FIGURE}.pdf",
        json=f"{FIGURE}.json",
    log:
        f"{RESULTS}/figures/{{figure}}.log",
    benchmark:
        f"{RESULTS}/figures/{{figure}}.benchmark.tsv"
    wildcard_constraints:
        figure=one_of(GRID.drawn.figures),
    conda:
        "../envs/pointrend_repro.yaml"
    threads: ASKED["draw_figure"].threads
    resources:
        **ASKED["draw_figure"].resources,
    params:
        preset=SETTINGS.preset,
        drawn=drawn_digest,
        in_force=figure_settings_in_force,
        data_root=drawn_data_root_option,
    message:
        "Drawing {wildcards.figure}"
    shell:
        "pointrend-repro figure {wildcards.figure:q} --preset {params.preset:q}"
        " {params.data_root:q} --threads {threads:q} --config-dir config --output {output.png:q} >{log:q} 2>&1"
