"""A plan in words and tables, for a terminal."""

from collections.abc import Sequence

from pointrend_repro.pipeline.planning.downloads import DownloadedFile
from pointrend_repro.pipeline.planning.plan import Plan, TrainingLine
from pointrend_repro.pipeline.planning.ranges import NOTHING, Range


def to_text(plan: Plan) -> str:
    """Return a plan as people read it."""
    parts = [_heading(plan), _jobs(plan)]
    parts += [_trainings(plan), _time(plan)] if plan.trainings else []
    parts += [_disk(plan), _downloads(plan), "\n".join(plan.assumptions)]
    return "\n\n".join(part for part in parts if part) + "\n"


def span(value: Range, unit: str = "") -> str:
    """Return a range in two figures, such as `52 to 73 h`; what rounds alike is one number."""
    low, high = _figures(value.low), _figures(value.high)
    return (low if low == high else f"{low} to {high}") + (f" {unit}" if unit else "")


def size(value: Range) -> str:
    """Return a range of bytes, in MB or GB of 1e6 or 1e9."""
    scale, unit = (1e9, "GB") if value.high >= 1e9 else (1e6, "MB")
    return span(value * (1 / scale), unit)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _heading(plan: Plan) -> str:
    return (
        f"Plan of preset {plan.preset}: {plan.title}\n"
        f"GPU {plan.gpu}: {span(plan.gpu_speed)} times a V100 ({plan.gpu_source});\n"
        f"{_gpus(plan.gpus_per_training)} per training, {plan.gpus} in use at a time"
    )


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _jobs(plan: Plan) -> str:
    rows = [["Jobs", "done", "to do"]]
    rows += [[j.rule, str(j.done), str(j.to_do)] for j in plan.jobs if j.done or j.to_do]
    done, to_do = sum(j.done for j in plan.jobs), sum(j.to_do for j in plan.jobs)
    return table([*rows, ["total", str(done), str(to_do)]])


def _trainings(plan: Plan) -> str:
    sources = list(dict.fromkeys(s for line in plan.trainings for s in line.estimated_from))
    rows = [["Trainings", "done", "updates", "GPU-hours each", "GPU-hours to do", "from"]]
    for line in plan.trainings:
        marks = ",".join(str(1 + sources.index(s)) for s in line.estimated_from)
        rows.append(
            [
                f"{line.dataset}/{line.variant}",
                f"{line.done}/{line.trials}{_unfinished(line)}",
                f"{line.updates}",
                _hours(line.gpu_hours_each),
                _hours(line.gpu_hours_to_do),
                marks or "-",
            ]
        )
    notes = [f"  {number} {source}" for number, source in enumerate(sources, start=1)]
    return "\n".join([table(rows), f"Speeds, on {plan.measured_on}:", *notes])


def _unfinished(line: TrainingLine) -> str:
    started = f" +{line.started} started" if line.started else ""
    return started + (
        f" ({line.other_settings} with other settings)" if line.other_settings else ""
    )


def _time(plan: Plan) -> str:
    lines = [
        f"GPU-hours to do: {span(plan.train_gpu_hours)} for training, "
        f"{span(plan.predict_gpu_hours)} for predicting",
        f"Wall time on {_gpus(plan.gpus)}: {span(plan.wall_hours, 'h')} "
        f"({span(plan.wall_hours * (1 / 24), 'days')}); "
        f"the longest training takes {span(plan.longest_training_hours, 'h')}",
    ]
    if plan.not_estimated:
        lines.append(
            f"Not included, because no speed is published: {', '.join(plan.not_estimated)}"
        )
    lines += [f"Not on these GPUs: {why}" for why in plan.refused]
    return "\n".join(lines)


def _disk(plan: Plan) -> str:
    if not plan.disk:
        return ""
    rows = [["Disk", "total", ""]]
    lines = table([*rows, *([i.what, size(i.bytes), ""] for i in plan.disk)]).splitlines()
    told = [lines[0], *(f"{line}  {i.how}" for line, i in zip(lines[1:], plan.disk, strict=True))]
    whole = NOTHING
    for item in plan.disk:
        whole = whole.plus(item.bytes)
    free = "" if plan.disk_free is None else f"; free here: {plan.disk_free / 1e9:.0f} GB"
    return "\n".join([*told, f"Total {size(whole)}{free}"])


def _downloads(plan: Plan) -> str:
    missing = [d for d in plan.downloads if not d.here]
    if not plan.downloads:
        return ""
    if not missing:
        return f"Downloads: none; all {len(plan.downloads)} are already here"
    rows = [["Downloads", "bytes"]]
    rows += [[f"{d.download}: {d.file}", _bytes(d)] for d in missing]
    known = sum(d.bytes or 0 for d in missing)
    most = sum(d.at_most_bytes for d in missing)
    here = len(plan.downloads) - len(missing)
    text = table([*rows, ["published sizes together", f"{known}"]])
    return f"{text}\nAt most {most / 1e9:.1f} GB" + (
        f"; {here} more files are already here" if here else ""
    )


def _bytes(file: DownloadedFile) -> str:
    return f"{file.bytes}" if file.bytes else f"at most {file.at_most_bytes}"


def _hours(value: Range | None) -> str:
    return "unknown" if value is None else span(value)


def _figures(number: float) -> str:
    """Two figures below 1000, three above: nobody knows more."""
    if number == 0:
        return "0"
    if number < 1:
        return f"{number:.1g}"
    digits = 2 if number < 1000 else 3
    rounded = float(f"{number:.{digits - 1}e}")
    return f"{rounded:.1f}" if rounded < 10 else f"{rounded:.0f}"
