rule judge_claims:
    input:
        f"{RESULTS}/{METRICS_FILE}",
        f"{RESULTS}/{COLLECTED_FILE}",
    output:
        directory(f"{RESULTS}/claims"),
    log:
        f"{RESULTS}/claims.log",
    benchmark:
        f"{RESULTS}/claims.benchmark.tsv"
    localrule: True
    conda:
        "../envs/pointrend_repro.yaml"
    params:
        claims=digest(
            [
                table_or_claim.model_dump(mode="json")
                for table_or_claim in [
                    *CLAIMS.claims.values(),
                    *CLAIMS.tables.values(),
                ]
            ]
            # What a claim says of itself grows: those of older versions are judged anew.
            + [METHOD, JUDGED_BY, *sorted(JudgedClaim.model_fields)]
            + ["judges_claims"] * GRID.preset.judges_claims
        ),
        preset=SETTINGS.preset,
        papers=SETTINGS.papers_option,
        lvis=SETTINGS.lvis_option,
    message:
        "Judging the claims"
    shell:
        "pointrend-repro claims --preset {params.preset:q} {params.papers:q} {params.lvis:q}"
        " --config-dir config >{log:q} 2>&1"
