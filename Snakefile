# From raw data to finished tables. The experiments come from config/; see docs/architecture.md.
#
#   data/<dataset>/                                                  data.smk
#   results/<preset>/<dataset>/<variant>/trial<k>/model.safetensors  train.smk
#                                      .../<inference>/predictions.json  evaluate.smk
#                                      .../<inference>/<metric>.json     evaluate.smk
#   reports/<preset>/figures/                                        figures.smk
#   reports/<preset>/pictures/                                       pictures.smk
#   results/<preset>/claims/                                         claims.smk
#   results/<preset>/<count>/                                        count.smk
#   results/<preset>/metrics.csv, reports/<preset>/                  report.smk

from snakemake.utils import min_version

from pointrend_repro.pipeline.slurm_outages import survive_outages

min_version("9.19")
survive_outages()


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/common_data.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/common_train.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/common_evaluate.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/common_figures.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/pictures.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/common_count.smk"
include: "workflow/rules/count.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        f"reports/{SETTINGS.preset}/index.html",
        # Of an unfinished run, `pointrend-repro report` by hand makes the page, too.
        f"{RESULTS}/{COLLECTED_FILE}",
        # While the page is there, Snakemake would not miss those that somebody has removed.
        NUMBERS,
