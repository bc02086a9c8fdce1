"""Templates of pages: files beside the code that fills them."""

from pathlib import Path

import jinja2

from pointrend_repro.base.texts import visible_in_html


def page_templates(folder: Path) -> jinja2.Environment:
    """Return the templates of a folder, which refuse unknown names and escape what they are given.

    The caller may add filters of its own.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,  # by name, `.j2` would not count as HTML
        undefined=jinja2.StrictUndefined,
        finalize=visible_in_html,
        trim_blocks=True,
        lstrip_blocks=True,
    )
