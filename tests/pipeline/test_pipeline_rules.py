"""Snakemake's benchmark files, summed by rule."""

from pathlib import Path

from benchmarks.pipeline_rules import as_table, sum_by_rule

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path: Path, seconds: float, cpu: str = "NA") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t{cpu}\t-\t-\t-\t0\t0\t90\t{cpu}\n")


def test_seconds_of_each_rule(tmp_path: Path) -> None:
    results, logs = tmp_path / "results/smoke", tmp_path / "logs"
    for variant in ("a", "b"):
        write(results / f"coco/{variant}/trial0/train.benchmark.tsv", 3, "2.5")
        write(results / f"coco/{variant}/trial0/default/evaluate.benchmark.tsv", 0.5)
    write(results / "cost/a/default.benchmark.tsv", 1)
    write(results / "coco/check.benchmark.tsv", 1)
    write(logs / "coco/generate.benchmark.tsv", 1)
    rules = {rule["rule"]: rule for rule in sum_by_rule([logs, results])}
    assert next(iter(rules)) == "train"
    assert set(rules) == {"train", "evaluate", "count_cost", "check_data", "generate_data"}
    assert (rules["train"]["jobs"], rules["train"]["seconds"]) == (2, 6)
    assert (rules["train"]["cpu_seconds"], rules["evaluate"]["cpu_seconds"]) == (5, 0)
    assert rules["train"]["share_percent"] == 60
    assert "| all | 7 | 10.0 | 5.0 | 100 % |" in as_table(list(rules.values()))


def test_nothing_has_run(tmp_path: Path) -> None:
    assert sum_by_rule([tmp_path]) == []
