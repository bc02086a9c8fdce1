"""Where the CPU time of a dry run of thousands of jobs goes: Snakemake's, and ours.

    python -m benchmarks.dry_run 8000 [--before CHECKOUT] --output FILE

The preset `paper` with more trials. With `--before`, another checkout of the project, both versions
take turns. Ours is what the rules' own functions take for all jobs, and reading the configuration,
from one more run under a profiler, as a share of that run.
"""

import argparse
import os
import pstats
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.scaling.points import REPOSITORY, prepare_pipeline
from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import cpu_name, git_commit, versions

ROUNDS = 2
_COMMAND = ["snakemake", "--dry-run", "--quiet", "rules", "--config", "preset=paper"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", type=int)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    sides = ({"before": options.before} if options.before else {}) | {"now": REPOSITORY}
    found: dict[str, dict[str, Any]] = {name: {"cpu_seconds": []} for name in sides}
    with tempfile.TemporaryDirectory() as name:
        for side, checkout in sides.items():
            (Path(name) / side).mkdir()
            prepare_pipeline(Path(name) / side, options.jobs, checkout.resolve())
        for _ in range(ROUNDS):
            for side, checkout in sides.items():
                seconds, told = run(Path(name) / side, checkout, [])
                found[side]["cpu_seconds"].append(round(seconds, 1))
                found[side] |= {"jobs": int(re.findall(r"^total\s+(\d+)", told, re.MULTILINE)[0])}
                print(side, found[side], file=sys.stderr, flush=True)
        for side, checkout in sides.items():
            profile = Path(name) / f"{side}.profile"
            run(Path(name) / side, checkout, ["-m", "cProfile", "-o", str(profile)])
            found[side] |= shares(profile)
            print(side, found[side], file=sys.stderr, flush=True)
    if options.output:
        machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "git_commit": git_commit()}
        write_json(options.output, {"sides": found} | machine | {"versions": versions()})


def run(folder: Path, checkout: Path, options: list[str]) -> tuple[float, str]:
    """Return the CPU seconds of a dry run in a folder by the code of a checkout, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *options, "-m", *_COMMAND],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def shares(profile: Path) -> dict[str, float]:
    """Return what takes which percentage of a profiled run."""
    stats = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]
    whole = sum(own for _, _, own, _, _ in stats.values())

    def total(file: str, function: str) -> float:
        return sum(
            c for (f, _, n), (_, _, _, c, _) in stats.items() if f.endswith(file) and n == function
        )

    of_jobs = sum(
        by_caller[3]
        for (file, _, _), (_, _, _, _, callers) in stats.items()
        if file.endswith(".smk")
        for (_, _, caller), by_caller in callers.items()
        if caller == "apply_func"
    )
    parts = {
        "our functions for each job": of_jobs,
        "our configuration and rules": total("/Snakefile", "<module>"),
        "Snakemake: the graph": total("/dag.py", "init"),
        "Snakemake: environments": total("/dag.py", "update_conda_envs"),
        "Snakemake: telling of jobs": total("/dryrun.py", "printjob"),
    }
    return {name: round(100 * seconds / whole, 1) for name, seconds in parts.items()}


if __name__ == "__main__":
    main()
