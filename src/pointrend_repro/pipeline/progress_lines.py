"""One line for each finished step, of what `snakemake --quiet host reason` prints.

`make smoke` reads a run through this: Snakemake prints up to ten lines a job, or with more of
`--quiet` hides what failed. From the first error on, everything is passed on as it is.

    snakemake --quiet host reason ... 2>&1 | python -m pointrend_repro.pipeline.progress_lines
"""

import re
import signal
import sys
from collections.abc import Iterable, Iterator

_ERROR = re.compile(r"\w*(error|exception|traceback)\b", re.IGNORECASE)
_JOB = re.compile(r"Job (\d+): (.*)")
_FINISHED = re.compile(r"Finished jobid: (\d+) \(Rule: (.*)\)")
_STEPS = re.compile(r"(\d+ of \d+ steps) \((.*)\) done")
# What is said of each job besides, and of the run as a whole.
_NOISE = re.compile(
    r"$|\s|\[.*\d{4}\]$|Select jobs|Execute \d+ jobs|(local)?(rule|checkpoint) .*:$|Shell command:|"
    r"Assuming unrestricted|Building DAG|Using shell|Provided |Rules claiming|Job stats|-+|"
    r"job +count|\w+ +\d+$|Complete log|Elapsed time"
)


def shorten(lines: Iterable[str]) -> Iterator[str]:
    """Yield a line for each finished step, and all lines from an error on."""
    named: dict[str, str] = {}
    done = ""
    lines = iter(lines)
    for line in lines:
        text = line.rstrip("\n")
        if _ERROR.match(text):
            yield text
            break
        if found := _JOB.match(text):
            named[found[1]] = found[2]
        elif found := _FINISHED.match(text):
            done = named.pop(found[1], found[2])
        elif found := _STEPS.match(text):
            yield f"{found[1]} ({found[2]}): {done}"
        elif not _NOISE.match(text):
            yield text
    for line in lines:
        yield line.rstrip("\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Snakemake ends by it, and says so
    for each in shorten(sys.stdin):
        print(each, flush=True)
