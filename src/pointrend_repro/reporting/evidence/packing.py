"""The metric files of a run in one small archive, each with all records and resamples.

Unpacked into a clone (`tar -xmf`), they are what the pipeline left: the claims are judged again
without a training, and Snakemake trains only what is missing. The archive holds no times, so that
the same results give the same bytes.

Most of it is resamples, whose last digits no archive makes smaller. Files that were scored before
resamples were rounded have them rounded here, as scorers do now; all else is kept byte for byte.
"""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pointrend_repro.base.files import atomic_path, json_text, read_json
from pointrend_repro.evaluation.bootstrap import rounded


def pack(folder: Path, paths: Iterable[str], output: Path) -> None:
    """Write files of a folder into `output`, a `.tar.xz`, below `results/<the folder's name>`.

    Args:
        paths: relative to `folder`, with forward slashes.

    Raises:
        UserError: a file cannot be read.
    """
    contents = {path: _with_rounded_resamples(folder / path) for path in sorted(set(paths))}
    with atomic_path(output) as part, tarfile.open(part, mode="w:xz", preset=9) as archive:
        for path, content in contents.items():
            member = tarfile.TarInfo(str(PurePosixPath("results", folder.name, path)))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _with_rounded_resamples(path: Path) -> bytes:
    metric = read_json(path)
    if "resampled" in metric:
        values = metric["resampled"]["values"]
        kept = {key: rounded(value) for key, value in values.items()}
        if kept != values:
            metric["resampled"]["values"] = kept
            return json_text(metric).encode()
    return path.read_bytes()
