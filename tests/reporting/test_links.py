"""What the page names is a link: results, documents, papers; and harmless whatever it is called."""

from pathlib import Path

import pytest

from pointrend_repro.reporting.formats import between, number, spelled
from pointrend_repro.reporting.links import Links, links_from


def test_results_are_beside_the_reports(tmp_path: Path) -> None:
    links = links_from(tmp_path / "reports" / "mini", tmp_path / "results" / "mini")
    assert links == Links("../../results/mini", None, tmp_path / "results" / "mini")
    assert links.file("coco/a b#1/log.txt") == "../../results/mini/coco/a%20b%231/log.txt"


def test_what_a_step_read_is_linked_where_it_is(tmp_path: Path) -> None:
    """Records name files as commands did: below the project's folder, or whole."""
    results = tmp_path / "results" / "mini"
    links = links_from(tmp_path / "reports" / "mini", results)
    model = results / "coco/r50/trial0/model.safetensors"
    assert links.read(str(model)) is None  # gone
    model.parent.mkdir(parents=True)
    model.touch()
    (tmp_path / "R-50.pkl").touch()
    address = "../../results/mini/coco/r50/trial0/model.safetensors"
    for named in ("results/mini/coco/r50/trial0/model.safetensors", str(model)):
        assert links.read(named) == address
    for elsewhere in ("data/R-50.pkl", str(tmp_path / "R-50.pkl"), "results/other/coco/x.pt"):
        assert links.read(elsewhere) is None


def test_documents_are_linked_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    reports = tmp_path / "reports" / "mini"
    reports.mkdir(parents=True)
    links = links_from(reports, tmp_path / "results" / "mini")
    assert links.text("bands (docs/trimap.md)") == (
        'bands (<a href="../../docs/trimap.md">docs/trimap.md</a>)'
    )
    assert Links("results", None).text("bands (docs/trimap.md)") == "bands (docs/trimap.md)"


def test_papers_are_linked_and_the_rest_is_escaped() -> None:
    text = Links("results", None).text("<b> He et al., 1512.03385: 28x28")
    assert text == (
        '&lt;b&gt; He et al., <a href="https://arxiv.org/abs/1512.03385">1512.03385</a>: 28×28'
    )


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("PointRend, 224x224, 28^2 points", "PointRend, 224×224, 28² points"),
        ("mildly biased (k=3, beta=0.75)", "mildly biased (k=3, β=0.75)"),
        ("4x conv, X101-64x4d, 3x schedule", "4× conv, X101-64×4d, 3× schedule"),
        ("0xff, ex 2, box, 4 x 784, alphabeta=1", "0xff, ex 2, box, 4 x 784, alphabeta=1"),
    ],
)
def test_one_spelling(written: str, printed: str) -> None:
    assert spelled(written) == printed


def test_no_number_is_nothing_unless_it_is() -> None:
    assert [number(v) for v in (0.00765, 0.0, 0.04, 0.05, 0.53, 34)] == [
        "0.008", "0.0", "0.04", "0.1", "0.5", "34"
    ]  # fmt: skip


def test_a_range_is_written_as_one() -> None:
    assert between([35.31, 35.1, 35.2]) == "35.1–35.3"
    assert between([35.21, 35.24]) == "35.21–35.24"
    assert between([35.2, 35.2]) == "35.20"
