"""Texts in Markdown: what stands in them stays text."""

import pytest

from pointrend_repro.reporting.markdown import escaped, escaped_line, table_row


@pytest.mark.parametrize("mark", list(r"\`*_[]<>|&~$"))
def test_a_mark_is_shown_and_does_nothing(mark: str) -> None:
    assert escaped(f"a{mark}b") == escaped_line(f"a{mark}b") == f"a\\{mark}b"


def test_a_text_stays_in_its_line() -> None:
    assert escaped(" one\ntwo\tthree ") == "one two three"
    assert escaped("a\u202eb") == r"a\[U+202E\]b"


def test_a_number_sign_makes_a_heading_only_in_a_line_of_its_own() -> None:
    assert escaped("# activations") == "# activations"
    assert escaped_line("# activations #") == r"\# activations \#"


def test_a_row_has_a_cell_for_each_text() -> None:
    assert table_row(map(escaped, ["a|b", "", "c"])) == r"| a\|b |  | c |"
