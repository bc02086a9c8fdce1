rule generate_data:
    output:
        directory("data/{dataset}"),
    log:
        "logs/{dataset}/generate.log",
    conda:
        "../../environment.yml"
    params:
        settings=lambda wildcards: digest(
            GRID.datasets[wildcards.dataset].generate.model_dump(mode="json")
        ),
    message:
        "Drawing the scenes of {wildcards.dataset}"
    shell:
        "pointrend-repro data generate --dataset {wildcards.dataset} >{log} 2>&1"


rule check_data:
    input:
        generated_folder,
    output:
        f"{RESULTS}/{{dataset}}/dataset.json",
    log:
        f"{RESULTS}/{{dataset}}/check.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        data_root=SETTINGS.data_root_option,
        lvis=SETTINGS.lvis_option,
    message:
        "Checking the data set {wildcards.dataset}"
    shell:
        "pointrend-repro data check --dataset {wildcards.dataset} --output {output}"
        " {params.data_root} {params.lvis} >{log} 2>&1"
