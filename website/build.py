"""Build the documentation as a site: `python -m website.build [FOLDER]`, by default `site/`.

README.md becomes the first page. Its links, and those of docs/, are written for the repository;
here they are followed from where the pages lie in the site. Links to sources become plain text,
since the site has no sources.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from website.api_pages import write_api_pages
from website.cli_pages import write_cli_pages

REPOSITORY = Path(__file__).resolve().parents[1]
_THEMES_WAY = re.compile(r'<script src="https://unpkg\.com/iframe-worker/shim"[^>]*></script>')
_START_FROM_TEXT = """\
if (location.protocol === "file:") {
  const Original = Worker;
  window.Worker = function () {
    return new Original(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  };
}
"""
_SOURCES = ("../src/", "../containers/")
_LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s]+)\)")


def build(target: Path) -> None:
    """Build the site into a folder, whose content is replaced.

    Raises:
        RuntimeError: a page is in no menu, or a link leads nowhere.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pages = work / "docs"
        shutil.copytree(REPOSITORY / "docs", pages, ignore=shutil.ignore_patterns("__pycache__"))
        for name, page in (("README.md", "index.md"), ("CONTRIBUTING.md", "contributing.md")):
            (pages / page).write_text(_from_the_root((REPOSITORY / name).read_text()))
        menu = {
            "Command line": _in("cli", write_cli_pages(pages / "cli")),
            "Python": _in("api", write_api_pages(pages / "api", REPOSITORY / "src")),
        }
        for page in pages.rglob("*.md"):
            page.write_text(_without_links_to_sources(page.read_text()))
        settings = yaml.safe_load((REPOSITORY / "website/mkdocs.yml").read_text())
        settings["nav"] += [{title: entries} for title, entries in menu.items()]
        _require_all_in_menu(pages, yaml.safe_dump(settings["nav"]))
        (work / "mkdocs.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
        _run_zensical(work)
        _use_own_worker(work / "site")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(work / "site", target)


def _from_the_root(text: str) -> str:
    """Rewrite the links of a page that moves from the repository's root into docs/."""
    text = text.replace("](CONTRIBUTING.md", "](contributing.md")
    return text.replace("](docs/", "](").replace('src="docs/', 'src="')


def _without_links_to_sources(text: str) -> str:
    """Replace links such as `[base/errors.py](../src/...)` by their text."""
    return _LINK.sub(lambda link: link[1] if link[2].startswith(_SOURCES) else link[0], text)


def _in(folder: str, files: dict[str, str]) -> list[dict[str, str]]:
    return [{title: f"{folder}/{file}"} for title, file in files.items()]


def _require_all_in_menu(pages: Path, menu: str) -> None:
    names = {page.relative_to(pages).as_posix() for page in pages.rglob("*.md")}
    missing = sorted(names - set(re.findall(r"[\w/]+\.md", menu)))
    if missing:
        raise RuntimeError(f"website/mkdocs.yml: has no menu entry for {', '.join(missing)}")


def _run_zensical(folder: Path) -> None:
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"zensical: {done.stdout}{done.stderr}")


def _use_own_worker(site: Path) -> None:
    """Let the search work on pages that are opened from disk, without the network.

    Browsers start no worker from a file of such a page. The theme loads a way around this from a
    network; here the worker's text lies in a script, from which a page may start it.
    """
    (worker,) = site.glob("assets/javascripts/workers/search.*.js")
    text = f"const text = {json.dumps(worker.read_text(encoding='utf-8'))};\n{_START_FROM_TEXT}"
    (site / "assets/javascripts/worker.js").write_text(text, encoding="utf-8")
    for page in site.rglob("*.html"):
        base = "../" * (len(page.relative_to(site).parts) - 1)
        old = page.read_text(encoding="utf-8")
        new = _THEMES_WAY.sub(f'<script src="{base}assets/javascripts/worker.js"></script>', old)
        if new == old:
            raise RuntimeError(
                f"{page.name}: the theme starts its search in another way than known"
            )
        page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "site")
