"""The pages name files that exist; docs/architecture.md has the rooms of pyproject.toml."""

import json
import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "src/pointrend_repro"
TEXT = (REPOSITORY / "docs/architecture.md").read_text()


def rooms() -> list[list[str]]:
    """The layers that import-linter checks, from the top."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    (contract,) = project["tool"]["importlinter"]["contracts"]
    return [layer.split(" | ") for layer in contract["layers"]]


def walk(name: str) -> list[list[str]]:
    """The modules of a walk, a list for each of its descents."""
    block = TEXT.partition(f"**The walk of a {name}**")[2].partition("\n\n")[2]
    block = re.split(r"\n\n(?=\S)", block)[0]
    return [[line.split()[0] for line in part.splitlines() if line] for part in block.split("\n\n")]


def where_it_lies(name: str, room: str) -> list[Path]:
    """Places in which the page may mean a file by its name."""
    a_paper = REPOSITORY / "config/papers/pointrend"
    return [REPOSITORY / name, PACKAGE / name, PACKAGE / room / name, a_paper / name]


def test_every_file_that_it_names_exists() -> None:
    missing = []
    for line in TEXT.splitlines():
        row = re.match(r"\| `(\w+)/`", line)
        for name in re.findall(r"`([\w./-]+\.(?:py|yaml|yml|toml|lock))`", line):
            places = where_it_lies(name, row[1] if row else "")
            if not any(place.is_file() for place in places):
                missing.append(name)
        for name in re.findall(r"`([a-z_][\w./]*/)`", line):
            places = where_it_lies(name, row[1] if row else "")
            places.append(REPOSITORY / "config/papers/pointrend" / name)
            if not any(place.is_dir() for place in places):
                missing.append(name)
    assert not missing


def test_every_page_that_it_links_to_exists() -> None:
    links = re.findall(r"\]\(([\w./]+\.md)", TEXT)
    assert len(links) > 10
    assert [link for link in links if not (REPOSITORY / "docs" / link).is_file()] == []


def test_every_module_and_page_that_any_page_names_exists() -> None:
    pages = [*sorted((REPOSITORY / "docs").rglob("*.md")), *sorted(REPOSITORY.glob("*.md"))]
    assert len(pages) > 20
    missing = []
    for page in pages:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        modules = re.findall(r"`([\w.-]+/[\w./-]+\.py)\b", text)
        links = re.findall(r"\]\(([\w./-]+\.\w+)", text)
        for name in {*modules, *links}:
            if not any((place / name).is_file() for place in (REPOSITORY, PACKAGE, page.parent)):
                missing.append(f"{page.name}: {name}")
    # What the guides tell a user to write.
    of_the_user = {
        "your_family.md: one_box/family.py",
        "your_family.md: one_box/network.py",
        "your_head.md: heads/two_convs.py",
        "your_metric.md: counting/declared.py",
        "your_metric.md: counting/scoring.py",
    }
    assert set(missing) == of_the_user


def test_every_heading_that_a_link_names_exists() -> None:
    pages = [*(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("*.md")]
    missing = []
    for page in pages:
        for name, heading in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text()):
            target = page.parent / name if name else page
            if heading not in headings(target.read_text()):
                missing.append(f"{page.name}: {name}#{heading}")
    assert missing == []


def headings(text: str) -> set[str]:
    """The headings of a page as GitHub, and the site, name them in links."""
    lines = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


def test_all_commands_that_take_set_are_listed() -> None:
    recorded = json.loads((REPOSITORY / "tests/pins/recorded/commands.json").read_text())
    page = (REPOSITORY / "docs/your_data.md").read_text()
    (told,) = re.findall(r"`--set KEY=VALUE` of (.*?), and\s`set=", page, flags=re.DOTALL)
    of_presets = {
        name for name, options in recorded.items() if {"--set", "--preset"} <= options.keys()
    }
    assert set(re.findall(r"`([\w-]+)`", told)) == of_presets


def test_its_rooms_are_the_layers_that_are_checked() -> None:
    block = re.split(r"Rooms on one line\sdo not import each other.\n\n", TEXT)[1].split("\n\n")[0]
    assert [line.split() for line in block.splitlines()] == rooms()
    told = re.findall(r"^\| `(\w+)/` \|", TEXT, flags=re.MULTILINE)
    layers = {room for layer in rooms() for room in layer} - {"cli", "commands"}
    assert sorted(told) == sorted(layers)


@pytest.mark.parametrize("name", ["setting", "prediction"])
def test_a_walk_never_goes_back_up(name: str) -> None:
    depth = {room: depth for depth, layer in enumerate(rooms()) for room in layer}
    descents = walk(name)
    assert len(descents) >= 2
    for modules in descents:
        assert [module for module in modules if not (PACKAGE / module).is_file()] == []
        depths = [depth[module.split("/")[0]] for module in modules]
        assert depths == sorted(depths), modules


def test_what_the_walks_name_in_their_modules_is_there() -> None:
    steps = re.findall(r"^    (\w[\w/]+\.py) +(.*)$", TEXT, flags=re.MULTILINE)
    named = [(module, name) for module, words in steps for name in re.findall(r"`([\w.]+)`", words)]
    assert len(named) > 15
    for module, name in named:
        if not name.endswith(".json"):
            last = name.split(".")[-1]
            assert re.search(rf"(def|class) {last}\b", (PACKAGE / module).read_text()), name


def test_the_page_of_presets_has_all_of_them() -> None:
    page = (REPOSITORY / "docs/presets.md").read_text()
    there = {path.stem for path in (REPOSITORY / "config/presets").glob("*.yaml")}
    named = {name for line in page.splitlines() if line.startswith("| `")
             for name in re.findall(r"`([a-z_0-9]+)`", line.split("|")[1])}  # fmt: skip
    assert named == there
