"""Where the time of a run of the pipeline went, by rule, from Snakemake's own benchmark files.

    python -m benchmarks.pipeline_rules smoke                    # of results/smoke, in this folder
    python -m benchmarks.pipeline_rules smoke --output FILE      # as JSON, too

Seconds are of the clock, summed over jobs: jobs that run side by side count for each. Snakemake
samples CPU time while a job runs, and so misses the last moments of each, and most of a short one.
"""

import argparse
import csv
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import cpu_name, git_commit

_ENDING = ".benchmark.tsv"

# Of files that are not named after their rule.
_RULES = {
    "generate": "generate_data",
    "prepare": "prepare_cityscapes",
    "check": "check_data",
    "check_again": "check_data_again",
    "claims": "judge_claims",
    "curves": "thin_logs",
}
_RULES_OF_FOLDERS = {"cost": "count_cost", "figures": "draw_figure", "pictures": "draw_picture"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--output", type=Path, help="a JSON file with the same")
    options = parser.parse_args()
    rules = sum_by_rule([Path("logs"), Path("results", options.preset)])
    print(as_table(rules))
    if options.output:
        where = {"machine": cpu_name(), "cores": os.cpu_count(), "git_commit": git_commit()}
        write_json(options.output, {"preset": options.preset, "rules": rules, **where})


def sum_by_rule(folders: list[Path]) -> list[dict[str, Any]]:
    """Return jobs, seconds, CPU seconds and largest memory of each rule, the longest first."""
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for folder in folders:
        for path in sorted(folder.rglob(f"*{_ENDING}")):
            found[rule_of(path.relative_to(folder))].append(_read(path))
    rules = [
        {
            "rule": rule,
            "jobs": len(jobs),
            "seconds": round(sum(job["s"] for job in jobs), 2),
            "cpu_seconds": round(sum(job["cpu_time"] for job in jobs), 2),
            "max_memory_mb": round(max(job["max_rss"] for job in jobs)),
        }
        for rule, jobs in found.items()
    ]
    total = sum(rule["seconds"] for rule in rules)
    for rule in rules:
        rule["share_percent"] = round(100 * rule["seconds"] / total, 1) if total else 0.0
    return sorted(rules, key=lambda rule: rule["seconds"], reverse=True)


def rule_of(path: Path) -> str:
    """Return the rule that has written a benchmark file, by its path below its folder."""
    name = path.name.removesuffix(_ENDING)
    if name in _RULES:
        return _RULES[name]
    return _RULES_OF_FOLDERS.get(path.parts[0], name)


def as_table(rules: list[dict[str, Any]]) -> str:
    """Return what `sum_by_rule` gives as a table in Markdown, with the sum."""
    lines = ["| rule | jobs | seconds | CPU seconds, sampled | share |", "|---|--:|--:|--:|--:|"]
    for rule in rules:
        cells = [rule["rule"], rule["jobs"], f"{rule['seconds']:.1f}"]
        cells += [f"{rule['cpu_seconds']:.1f}", f"{rule['share_percent']:.1f} %"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    jobs, seconds, cpu = (sum(r[key] for r in rules) for key in ("jobs", "seconds", "cpu_seconds"))
    return "\n".join([*lines, f"| all | {jobs} | {seconds:.1f} | {cpu:.1f} | 100 % |"])


def _read(path: Path) -> dict[str, float]:
    with path.open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream, delimiter="\t")
    return {key: _number(row[key]) for key in ("s", "cpu_time", "max_rss")}


def _number(text: str) -> float:
    # A job may end before Snakemake looks at it.
    return 0.0 if text in ("NA", "-") else float(text)


if __name__ == "__main__":
    main()
