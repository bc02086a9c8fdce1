"""Check this project on a GPU, and write one JSON of what was found.

    python -m benchmarks.gpu_check [--device cuda|cpu] [--quick] [--seconds 570] [--output FOLDER]

`--device cpu --quick` tries the check itself where there is no GPU: its numbers say nothing, and
are not written to benchmarks/results/. The exit code is 1 if a stage failed or did not end in time,
and 2 if there is no such device.
"""

import argparse
import datetime
import json
import os
import re
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.running import Stage, run_stages

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"

NO_DEVICE = 2

# Speed comes first and alone. Then `mini` trains while the others run: they measure no time.
STAGES = (
    Stage("device", least_s=10, most_s=90),
    Stage("speed", least_s=30, most_s=170),
    Stage("mini", least_s=60, most_s=570, beside=True),
    Stage("tests", least_s=30, most_s=200),
    Stage("variants", least_s=20, most_s=300),
)


def main(arguments: list[str] | None = None) -> int:
    asked = _parse(arguments)
    start = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    device, *others = STAGES
    with tempfile.TemporaryDirectory(prefix="gpu_check_") as folder:
        run = partial(
            run_stages,
            command=partial(_command, asked),
            folder=Path(folder),
            until=start + asked.seconds,
            environment=os.environ | {"PYTHONPATH": _python_path(), "PYTHONUNBUFFERED": "1"},
        )
        of_stages = run([device])
        if "name" not in of_stages["device"]:
            print("\n".join(of_stages["device"]["last_lines"]), file=sys.stderr)
            return NO_DEVICE
        of_stages |= run([s for s in others if not asked.stages or s.name in asked.stages])
    record = {
        "device": of_stages["device"]["name"],
        "quick": asked.quick,
        "started": started,
        "seconds": round(time.monotonic() - start, 1),
        "budget_s": asked.seconds,
        "stages": of_stages,
    }
    path = asked.output / file_name(record)
    asked.output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(record)))
    print(f"written: {path}")
    return int(any(stage["status"] != "done" for stage in of_stages.values()))


def _command(asked: argparse.Namespace, name: str, folder: Path) -> list[str]:
    size = "quick" if asked.quick else "full"
    stage = ["-m", "benchmarks.gpu_check.stage", name, asked.device, size, str(folder)]
    return [sys.executable, *stage]


def file_name(record: dict[str, Any]) -> str:
    """Return the name of a record's file, such as `gpu_check_nvidia_h200.json`."""
    return f"gpu_check_{re.sub('[^a-z0-9]+', '_', record['device'].lower()).strip('_')}.json"


def summary(record: dict[str, Any]) -> list[str]:
    """Return a line for each stage, and one for each of its failures."""
    lines = [f"{record['device']}: {record['seconds']:.0f} s of {record['budget_s']:.0f}"]
    for name, stage in record["stages"].items():
        more = f"{stage['seconds']:.0f} s" if "seconds" in stage else stage["why"]
        lines.append(f"  {name:9} {stage['status']} ({more})")
        told = stage.get("failures") or (stage.get("last_lines", [])[-3:])
        lines += [f"    {line}" for line in told]
    return lines


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu_check", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the check itself")
    parser.add_argument("--seconds", type=float, default=570, help="what all of it may take")
    parser.add_argument("--output", type=Path, help="folder for the JSON")
    parser.add_argument(
        "--stages", nargs="*", choices=[s.name for s in STAGES], help="none: all of them"
    )
    asked = parser.parse_args(arguments)
    if asked.device == "cpu" and not asked.quick:
        parser.error("--device cpu: only with --quick")
    measured = asked.device == "cuda" and not asked.quick
    asked.output = asked.output or (RESULTS if measured else Path.cwd() / "gpu_check")
    return asked


def _python_path() -> str:
    """Return where the stages find this checkout, whatever Python runs them."""
    own = [str(ROOT), str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "tests" / "modeling")]
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])


if __name__ == "__main__":
    sys.exit(main())
