"""What the container would install; neither Docker nor Apptainer is at hand."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = REPOSITORY / "requirements.lock"
DOCKERFILE = (REPOSITORY / "containers/Dockerfile").read_text()


def entries(lock: str) -> dict[str, str]:
    """Each package's entry with its hashes, by name."""
    return {e.partition("==")[0]: e for e in re.split(r"^(?=[a-zA-Z])", lock, flags=re.M) if e}


def test_without_cuda_the_lock_is_the_same_but_for_torch() -> None:
    script = REPOSITORY / "containers/without_cuda"
    done = subprocess.run([sys.executable, script, LOCK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    full, rest = entries(LOCK.read_text()), entries(done.stdout)
    assert rest.items() <= full.items()
    gone = set(full) - set(rest)
    assert {"torch", "torchvision", "triton"} <= gone
    others = {name for name in gone if not name.startswith(("nvidia-", "cuda-"))}
    assert others == {"torch", "torchvision", "triton"}


def test_torch_without_cuda_is_the_locked_one() -> None:
    pinned = re.findall(r"^(\w+==\S+)", (REPOSITORY / "constraints.txt").read_text(), re.M)
    assert {line.partition("==")[0] for line in pinned} == {"torch", "torchvision"}
    assert all(entries(LOCK.read_text())[p.partition("==")[0]].startswith(p) for p in pinned)


def test_what_the_dockerfile_copies_is_there() -> None:
    copied = re.findall(r"^COPY (.*) \./?$", DOCKERFILE, re.M)
    assert all((REPOSITORY / name).exists() for line in copied for name in line.split())


def test_apptainer_starts_from_the_image_that_the_docs_build() -> None:
    definition = (REPOSITORY / "containers/apptainer.def").read_text()
    assert "From: pointrend-repro:latest" in definition
    assert "docker build -f containers/Dockerfile -t pointrend-repro ." in DOCKERFILE
