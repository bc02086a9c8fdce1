"""Whether detectron2 is installed, and which version."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from urllib.parse import unquote, urlparse

from pointrend_repro.base.errors import UserError
from pointrend_repro.engines.detectron2 import COMMIT

_COMMIT_DIGITS = 12


def require_detectron2() -> None:
    """Refuse to start without detectron2; its PointRend project comes with it.

    Raises:
        UserError: this Python does not have it; the message says how to get it.
    """
    if importlib.util.find_spec("detectron2") is None:
        raise UserError(
            f"engine detectron2: {sys.executable} has no detectron2; build it as "
            "docs/detectron2.md says, and name the Python that has it: "
            "`snakemake --config detectron2_python=PATH`"
        )


def detectron2_version() -> str:
    """Return version and commit, such as `0.6 at 02b5c4e295e9`; the version alone is not enough."""
    version = importlib.metadata.version("detectron2")
    commit = _commit()
    return f"{version} at {commit[:_COMMIT_DIGITS]}" if commit else f"{version} at unknown commit"


def is_tested_commit() -> bool:
    """Whether it is the commit for which the translation was written."""
    return _commit() == COMMIT


def _commit() -> str | None:
    """The commit recorded by pip, from a repository or a folder that is one."""
    text = importlib.metadata.distribution("detectron2").read_text("direct_url.json")
    source = json.loads(text) if text else {}
    if "vcs_info" in source:
        return str(source["vcs_info"]["commit_id"])
    url = urlparse(source.get("url", ""))
    if url.scheme != "file":
        return None
    command = ["git", "-C", unquote(url.path), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
