"""Pages about the package's public names, from their docstrings; griffe reads these."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import griffe

PACKAGE = "pointrend_repro"

_STARS = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
_LINE = 88  # characters of code that fit the page


@dataclass(frozen=True)
class Page:
    """A page and the names that it explains, `module:name`, or `module` for all that is public."""

    title: str
    intro: str
    names: tuple[str, ...]


PAGES = {
    "using.md": Page(
        "Use a model from Python",
        "What `import pointrend_repro as pr` offers, and what its functions return.",
        (
            "api.loading:load_model",
            "api.loading:Model",
            "checkpoints.known_models:list_models",
            "predictions.instances:Instances",
            "predictions.label_maps:LabelMap",
            "predictions.mask_proposals:MaskProposals",
            "api.subdivision:subdivision",
            "api.subdivision:SubdivisionStep",
            "evaluation:evaluate_predictions",
            "base.errors:UserError",
        ),
    ),
    "points.md": Page(
        "Points and subdivision",
        "PointRend's section 3 as functions on tensors.",
        ("modeling.points", "modeling.steps", "modeling.subdivision"),
    ),
    "extending.md": Page(
        "Extend it",
        "What a [mask head](../your_head.md), a [metric](../your_metric.md) or a "
        "[family of models](../your_family.md) of your own meets.",
        (
            "data.structures",
            "modeling.mask_heads:MaskHead",
            "declarations.metric",
            "declarations.prediction_kind",
            "evaluation.scoring",
            "declarations.family",
        ),
    ),
}


def write_api_pages(folder: Path, source: Path) -> dict[str, str]:
    """Write all pages into a folder; return their files by title.

    Args:
        source: the folder that holds the package.
    """
    folder.mkdir(parents=True)
    loader = griffe.GriffeLoader(search_paths=[source], docstring_parser=griffe.Parser.google)
    package = loader.load(PACKAGE)
    for name, page in PAGES.items():
        parts = [f"# {page.title}", page.intro]
        for each in page.names:
            module, _, member = each.partition(":")
            found = package[module]
            if member:
                parts += _about(found[member], 2)
            else:
                parts += [f"## `{module}`", *_text(found.docstring)]
                parts += [line for one in _public(found) for line in _about(one, 3)]
        (folder / name).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return {page.title: name for name, page in PAGES.items()}


def _public(parent: griffe.Object) -> list[griffe.Object]:
    """Return what a module or class itself defines, documents, and does not hide, in its order."""
    members = [m for m in parent.members.values() if not m.is_alias and m.docstring]
    return [m for m in members if not m.name.startswith("_") and not m.is_module]


def _about(thing: griffe.Object, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{thing.name}`"
    where = thing.path.removeprefix(f"{PACKAGE}.")
    yield f"<small>`{where}`</small>"
    if isinstance(thing, griffe.Function | griffe.Class):
        yield f"```python\n{_signature(thing)}\n```"
    yield from _text(thing.docstring)
    if thing.is_class:
        for member in _public(thing):
            yield from _about(member, level + 1)


def _signature(thing: griffe.Function | griffe.Class) -> str:
    if isinstance(thing, griffe.Class):
        bases = ", ".join(str(base) for base in thing.bases)
        return f"class {thing.name}({bases})" if bases else f"class {thing.name}"
    arguments = []
    for parameter in thing.parameters:
        if parameter.name == "self":
            continue
        is_keyword = parameter.kind is griffe.ParameterKind.keyword_only
        if is_keyword and not any(each.startswith("*") for each in arguments):
            arguments.append("*")
        arguments.append(_argument(parameter))
    returns = f" -> {thing.returns}" if thing.returns is not None else ""
    line = f"{thing.name}({', '.join(arguments)}){returns}"
    if len(line) <= _LINE:
        return line
    return f"{thing.name}(\n    " + ",\n    ".join(arguments) + f",\n){returns}"


def _argument(parameter: griffe.Parameter) -> str:
    text = _STARS.get(parameter.kind, "") + parameter.name
    if parameter.annotation is not None:
        text += f": {parameter.annotation}"
    if parameter.default is not None and parameter.kind not in _STARS:
        text += f" = {parameter.default}"
    return text


def _text(docstring: griffe.Docstring | None) -> Iterator[str]:
    """Yield a docstring's sections as Markdown."""
    if docstring is None:
        return
    for section in docstring.parse("google", warnings=False):
        if section.kind is griffe.DocstringSectionKind.text:
            yield _escaped(section.value)
        elif section.kind is griffe.DocstringSectionKind.admonition:
            yield f"**{section.title}** {_escaped(section.value.description)}"
        else:
            yield f"**{section.kind.value.capitalize().replace('Parameters', 'Arguments')}**"
            yield "\n".join(_entry(entry) for entry in section.value)


def _entry(entry: griffe.DocstringElement) -> str:
    description = re.sub(r"\n\s*", " ", _escaped(entry.description)).strip()
    name = getattr(entry, "name", "")
    if not name and isinstance(entry, griffe.DocstringRaise):
        name = str(entry.annotation)
    return f"- `{name}`: {description}" if name else f"- {description}"


def _escaped(text: str) -> str:
    """Keep angle brackets outside of code from becoming HTML."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else html.escape(p, quote=False) for p in parts)
