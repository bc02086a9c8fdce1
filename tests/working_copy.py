"""The pipeline in a folder of its own, as a clone has it, with presets that fill Table 1 only."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from config_files import CLAIMS, config_file
from small_experiment import DATASET, PRESET

REPOSITORY = Path(__file__).resolve().parents[1]
PAPER_ROWS = ("4conv_28", "pointrend_28", "pointrend_224")
PARTS = ["Snakefile", "workflow", "config", "profiles", "slurm"]


@dataclass(frozen=True)
class WorkingCopy:
    """A folder with the pipeline's own files, as a clone has them; presets fill Table 1 only."""

    folder: Path

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.command(sys.executable, "-m", "snakemake", *arguments)

    def command(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command here; one of `bin` comes before the installed ones."""
        stub, venv = self.folder / "bin", Path(sys.executable).parent
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | {"PATH": f"{stub}:{venv}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    def plan(self, *arguments: str) -> dict[str, int]:
        """How many jobs of each rule a dry run lists."""
        return self.planned(self.snakemake("--dry-run", *arguments))

    @staticmethod
    def planned(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
        """How many jobs of each rule a dry run has listed."""
        assert done.returncode == 0, done.stderr
        if "Nothing to be done" in done.stdout + done.stderr:
            return {}
        table = (done.stdout + done.stderr).split("Job stats:")[-1].split("total")[0]
        jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}
        assert jobs, done.stderr
        return jobs

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


def make_copy(folder: Path) -> WorkingCopy:
    folder.mkdir()
    for part in PARTS:
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    for path in (folder / "config/presets").glob("*.yaml"):
        if "coco" in yaml.safe_load(path.read_text())["datasets"]:
            only_table_1(path)
        else:
            path.unlink()
    only_paper_rows(folder / "config")
    return WorkingCopy(folder)


def make_stubbed_copy(folder: Path, write_config: Callable[[Path], Path], stub: str) -> WorkingCopy:
    """A copy with the small experiment's configuration, on drawn data, and a stub for commands."""
    made = make_copy(folder)
    shutil.rmtree(folder / "config")
    # Drawn, so that no data are needed; the stub draws nothing.
    preset = write_config(folder / "config") / f"presets/{PRESET}.yaml"
    preset.write_text(preset.read_text().replace(DATASET, "generated_coco"))
    command = folder / "bin/pointrend-repro"
    command.parent.mkdir(exist_ok=True)
    command.write_text(stub)
    command.chmod(0o755)
    return made


def only_paper_rows(config_dir: Path) -> None:
    """The rows that the paper prints in Table 1, and the claims about them."""
    table = config_file("tables/table1", config_dir)
    content = yaml.safe_load(table.read_text())
    content["rows"] = {name: content["rows"][name] for name in PAPER_ROWS}
    table.write_text(yaml.safe_dump(content, sort_keys=False))
    claims = config_file(CLAIMS, config_dir)
    kept = {
        name: claim
        for name, claim in yaml.safe_load(claims.read_text()).items()
        if claim["table"] == "table1"
        and {row for pair in claim["pairs"] for row in pair} <= set(PAPER_ROWS)
    }
    claims.write_text(yaml.safe_dump(kept, sort_keys=False))


def only_table_1(preset: Path) -> None:
    """Later tables, and figures, must not change what these tests count."""
    text = re.sub(r"^tables: .*\n", "", preset.read_text(), flags=re.M)
    text = re.sub(r"^datasets:", "tables: [table1]\ndatasets:", text, flags=re.M)
    text = re.sub(r"^(figures|pictures): .*\n", "", text, flags=re.M)
    for section in ("datasets", "trials"):
        for other in set(yaml.safe_load(text)[section]) - {"coco"}:
            text = re.sub(rf"^  {other}: .*\n", "", text, flags=re.M)
    if preset.stem == "smoke":
        text = re.sub(r"^  coco: \d+$", "  coco: 2", text, flags=re.M)
    preset.write_text(text)
    content = yaml.safe_load(text)
    assert set(content["datasets"]) == set(content["trials"]) == {"coco"}
