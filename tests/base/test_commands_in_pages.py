"""Commands of the pages and of the help can be pasted, also into zsh, the shell of macOS."""

import re
from pathlib import Path

import pytest
import yaml

from pointrend_repro.commands.examples import EXAMPLES

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
SOURCES = sorted((REPOSITORY / "src/pointrend_repro").rglob("*.py"))
PROGRAMS = "pointrend-repro|snakemake|make|pip|docker|apptainer|export|squeue|sbatch"


def lines_of(text: str) -> list[str]:
    """The shell lines of a page: those of its blocks, and code in sentences."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        found += block.replace("\\\n", " ").splitlines()
    found += re.findall(rf"^    ((?:{PROGRAMS}) .*)$", text, flags=re.MULTILINE)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", rest):
        if re.match(rf"(?:{PROGRAMS}) |'?set=|--(?:set|test|config) ", code):
            found.append(" ".join(code.split()))
    return found


def what_zsh_refuses(line: str) -> list[str]:
    """Words that zsh takes for patterns of file names, and a comment, which it does not know."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "_", line)
    words = [word for word in bare.split() if re.search(r"[\[\]?]|[^/*]\*|=\*", word)]
    return [word for word in words if not word.endswith("]...")] + re.findall(r"(?:^|\s)#.*", bare)


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("train --set run.trackers=[wandb]", ["run.trackers=[wandb]"]),
        ("train --set 'run.trackers=[wandb]'", []),
        ("snakemake preset=smoke # does it?", ["it?", " # does it?"]),
    ],
)
def test_what_zsh_refuses_is_found(line: str, refused: list[str]) -> None:
    assert what_zsh_refuses(line) == refused


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_zsh_reads_the_commands_of_a_page(page: Path) -> None:
    for line in lines_of(page.read_text()):
        assert not what_zsh_refuses(line), line


def test_zsh_reads_the_examples_of_the_help() -> None:
    lines = [line for examples in EXAMPLES.values() for line in examples]
    assert [line for line in lines if what_zsh_refuses(line)] == []


def test_published_weights_are_named_where_their_download_puts_them() -> None:
    downloads = yaml.safe_load((REPOSITORY / "config/downloads.yaml").read_text())["downloads"]
    into = downloads["pointrend_r50_fpn_3x_coco"]["into"]
    named = 0
    for page in [*PAGES, *SOURCES]:
        for place in re.findall(r"(\S*?)model_final_edd263", page.read_text()):
            assert re.split(r"[\"'`=(]", place)[-1] == f"data/{into}/", page.name
            named += 1
    assert named > 4


def test_a_page_that_loads_published_weights_fetches_no_others() -> None:
    """`checkpoints` is a group of all of them."""
    readme = " ".join((REPOSITORY / "README.md").read_text().split())
    assert "data fetch pointrend_r50_fpn_3x_coco" in readme
    for page in PAGES:
        assert "fetch checkpoints" not in page.read_text(), page.name
