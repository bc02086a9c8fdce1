"""What axe-core, the field's checker of accessibility, finds wrong in a page."""

import importlib.util
from pathlib import Path
from typing import Any

from pages import Page


def axe_source() -> str:
    spec = importlib.util.find_spec("axe_playwright_python")  # ships axe-core; nothing else is used
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, rules: str = "{}", of: str = "document") -> list[dict[str, Any]]:
    """Serious and critical ones that axe-core finds, with the elements that have them."""
    page.evaluate(axe_source() + "; undefined")
    found: list[dict[str, Any]] = page.evaluate(
        f"""axe.run({of}, {{resultTypes: ["violations"], ...{rules}}}).then(found =>
          found.violations.filter(v => ["serious", "critical"].includes(v.impact))
            .map(v => ({{id: v.id, impact: v.impact,
              nodes: v.nodes.slice(0, 5).map(n => n.html.slice(0, 200))}})))"""
    )
    return found
