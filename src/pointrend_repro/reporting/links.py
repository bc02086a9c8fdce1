"""Links from the page to what lies beside it: results, the project's documents, and papers."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup, escape

from pointrend_repro.base.texts import visible_in_html
from pointrend_repro.reporting.formats import spelled

_DOCS = "../../docs"
# A document of the project, or a paper by its number on arXiv.
_NAMED = re.compile(r"(docs/[a-z0-9_]+\.md|\b\d{4}\.\d{5}\b)")


@dataclass(frozen=True)
class Links:
    """Where things lie, as addresses relative to the page.

    Attributes:
        results: the preset's folder, `results/<preset>`.
        docs: the project's documents; None where they do not lie beside the reports.
        results_dir: the same folder as `results`, where its files are looked for.
    """

    results: str
    docs: str | None
    results_dir: Path = Path()

    def file(self, path: str) -> str:
        """Return the address of a file that is named relative to `results/<preset>`."""
        return quote(f"{self.results}/{path}")

    def read(self, file: str) -> str | None:
        """Return the address of a file that a step has read, as its record names it.

        None if it is not of these results, as downloaded weights are not, or is gone. Records name
        files as the commands did, relative to the project's folder: `results/<preset>/...`.
        """
        for folder in (self.results_dir, Path(*self.results_dir.parts[-2:])):
            if Path(file).is_relative_to(folder):
                path = Path(file).relative_to(folder)
                return self.file(path.as_posix()) if (self.results_dir / path).exists() else None
        return None

    def text(self, words: str) -> Markup:
        """Return a sentence as HTML, in the spelling of print; what it names is a link."""
        return Markup("").join(self._piece(piece) for piece in _NAMED.split(words))

    def _piece(self, piece: str) -> Markup:
        shown = escape(visible_in_html(piece))
        if not _NAMED.fullmatch(piece):
            return escape(visible_in_html(spelled(piece)))
        if not piece.startswith("docs/"):
            return Markup('<a href="https://arxiv.org/abs/{0}">{0}</a>').format(shown)
        if self.docs is None:
            return shown
        address = f"{self.docs}/{piece.removeprefix('docs/')}"
        return Markup('<a href="{}">{}</a>').format(address, shown)


def links_from(reports_dir: Path, results_dir: Path) -> Links:
    """Return the links of a page that lies in `reports_dir`, which is `reports/<preset>`."""
    results = Path(os.path.relpath(results_dir, reports_dir)).as_posix()
    docs = _DOCS if (reports_dir / _DOCS).is_dir() else None
    return Links(results, docs, results_dir)
