"""`pointrend-repro bench`: measure this project against others."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointrend_repro.commands.options import Device, DeviceName, Threads, prepare_device


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="default: all")
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="list what can be measured")] = False,
    output: Annotated[Path | None, typer.Option(help="folder for a JSON file per case")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="how often each side is measured")] = 5,
    device: DeviceName = Device.cpu,
    threads: Threads = 1,
) -> None:
    """Measure this project against others: ratios of times and of memory, each in one run."""
    from pointrend_repro.tools.bench.case import choose_cases, describe_case

    chosen = choose_cases(names)
    if list_only:
        for name in chosen:
            print(f"{name:24} {describe_case(name)}")
        return
    where = prepare_device(device, threads, needs_gpu=False)
    from pointrend_repro.base.files import write_json
    from pointrend_repro.pipeline.steps.devices import device_name
    from pointrend_repro.tools.bench.results import run_case

    device_name(where)  # or without a GPU that works a case would end in a traceback
    for name in chosen:
        record = run_case(name, device=where, threads=threads, rounds=rounds)
        print("\n".join(summary(record)))
        if output is not None:
            write_json(output / f"{name}_{where}_{threads}.json", record)


def summary(record: dict[str, Any]) -> list[str]:
    """Return a record in a few lines of text."""
    lines = [f"{record['case']} ({record['device']}, {record['threads']} threads)"]
    for side, measured in record["sides"].items():
        if "status" in measured:
            lines.append(f"  {side:12} {measured['status']}")
            continue
        line = f"  {side:12} {measured['seconds']['median']:.3f} s"
        line += f", {measured['additional_peak_mb']:.0f} MB"
        if measured["share_of_gemm_rate"] is not None:
            line += f", {measured['share_of_gemm_rate']['median']:.0%} of the rate of GEMM"
        if side in record["ratios"]:
            line += f": {_ratio(record['ratios'][side])}"
        lines.append(line)
    return lines


def _ratio(ratio: dict[str, Any]) -> str:
    time = ratio["time"]
    text = f"{time['median']:.2f} x the time ({time['lowest']:.2f} to {time['highest']:.2f})"
    text += f", {ratio['cpu_time']['median']:.2f} x the CPU time"
    if ratio["memory"] is not None:
        text += f", {ratio['memory']:.1f} x the memory"
    return text + "".join(f", {key} {value:.2g}" for key, value in ratio["differences"].items())
