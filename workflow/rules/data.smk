rule generate_data:
    output:
        directory("data/{dataset}"),
    log:
        "logs/{dataset}/generate.log",
    conda:
        "../../environment.yml"
    params:
        settings=lambda wildcards: digest(
            [
                RENDERER_VERSION,
                GRID.datasets[wildcards.dataset].generate.model_dump(mode="json"),
            ]
        ),
    message:
        "Drawing the scenes of {wildcards.dataset}"
    shell:
        "pointrend-repro data generate --dataset {wildcards.dataset}"
        " --config-dir config >{log} 2>&1"


rule prepare_cityscapes:
    input:
        generated_folder,
    output:
        "data/{dataset}_instances/instances_train.json",
        "data/{dataset}_instances/instances_val.json",
    log:
        "logs/{dataset}/prepare.log",
    conda:
        "../../environment.yml"
    params:
        data_root=data_root_option,
    message:
        "Reading the instances of {wildcards.dataset}"
    shell:
        "pointrend-repro data prepare --dataset {wildcards.dataset} {params.data_root}"
        " --config-dir config >{log} 2>&1"


# LVIS annotations of the user's own are not checked here: naming them later must not train anew.
rule check_data:
    input:
        data_files,
    output:
        f"{RESULTS}/{{dataset}}/dataset.json",
    log:
        f"{RESULTS}/{{dataset}}/check.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        data_root=data_root_option,
    message:
        "Checking the data set {wildcards.dataset}"
    shell:
        "pointrend-repro data check --dataset {wildcards.dataset} --output {output}"
        " {params.data_root} --config-dir config >{log} 2>&1"
