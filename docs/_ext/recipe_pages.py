"""Writes a table of all recipes and a page for each, from the headers of configs/*.py."""

import ast
import pathlib
import re
from typing import Any

from reference_pages import write_if_changed
from sphinx.application import Sphinx

from flaxgan.cli import recipes

NAME = "recipes"
SETTINGS = "settings"
VERDICTS = {True: "yes", False: "no", None: "nothing to reproduce"}

INTRO = """\
# Recipes

A recipe is a Python file in `configs/` whose `get_config()` returns a
[`Config`](../reference/flaxgan.config.run.rst). The pages of this section are made from the headers of these files;
`flaxgan recipes` prints the same facts.

"Reproduced" says whether this project has trained the recipe to its end and measured the published score. It has not
done so for any published score yet: no GPU or TPU has run this version. What the tiny variants learn on a CPU is in
[](../project/families.md).

Each page compares the settings of its recipe with the sources, field by field: the value here, the value in the source,
the file (or the section of the paper), and what differs and why. Rows in words describe what is not a field. A test
compares the values here with the recipe, and refuses a setting without a row. "Opened" sources were read, at the
commit that is given, when the page was written; values of a source that could not be opened are marked.

"""


def setup(app: Sphinx) -> dict[str, Any]:
    """Writes the pages before Sphinx looks for them."""
    source = pathlib.Path(app.srcdir)
    app.connect("builder-inited", lambda app: write(source.parent / "configs", source / NAME))
    return {"parallel_read_safe": True}


def write(configs: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes the pages of a folder's recipes, and removes pages of recipes that are gone."""
    found = recipes.read_all(configs)
    pages = {one.path.stem: _page(one) for one in found} | {"index": _index(found)}
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()
    for name, page in pages.items():
        write_if_changed(folder / f"{name}.md", page)


def _index(found: list[recipes.Recipe]) -> str:
    rows = [
        f"| [{one.path.stem}]({one.path.stem}.md) | {_cell(one.summary)} | {_family(one)} "
        f"| {_cell(one.header['Published'])} | {VERDICTS[one.reproduced]} |"
        for one in found
    ]
    table = "\n".join(
        ["| recipe | trains | family | published | reproduced |", "| --- | --- | --- | --- | --- |", *rows]
    )
    names = "\n".join(one.path.stem for one in found)
    return f"{INTRO}{table}\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def _page(one: recipes.Recipe) -> str:
    name, header = one.path.stem, one.header
    command, _, remark = re.sub(r"\s{2,}", "  ", header["Command"]).partition(" (")
    facts = {
        "Family": _family(one),
        "Variants": ", ".join(f"`{variant}`" for variant in one.variants) or "none",
        **{field: header[field] for field in ("Paper", "Data", "Hardware", "Published", "Reproduced")},
    }
    lines = [f"# {name}", "", one.summary, "", "```sh", command.strip(), "```", ""]
    lines += [f"Or {remark.removesuffix(')').removeprefix('or ')}.", ""] if remark else []
    lines += [f":{field}: {text}" for field, text in facts.items()]
    lines += [
        "",
        *_notes(one.path),
        *_settings(one.path),
        "## The file",
        "",
        f"```{{literalinclude}} ../../configs/{name}.py",
        ":language: python",
    ]
    return "\n".join([*lines, f":lines: {_end_of_docstring(one.path) + 2}-", "```", ""])


def _notes(path: pathlib.Path) -> list[str]:
    """The paragraphs of a header behind its fields."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    _, _, behind = re.sub(r"\n[ \t]+", " ", text).partition("\nReproduced:")
    notes = behind.partition("\n")[2].strip()
    return [notes, ""] if notes else []


def _settings(path: pathlib.Path) -> list[str]:
    """The comparison with the sources, docs/settings/NAME.md; recipes of this project's own have none."""
    page = path.parent.parent / "docs" / SETTINGS / f"{path.stem}.md"
    return ["## Settings and their sources", "", page.read_text()] if page.exists() else []


def _end_of_docstring(path: pathlib.Path) -> int:
    return ast.parse(path.read_text()).body[0].end_lineno or 0


def _family(one: recipes.Recipe) -> str:
    family = one.config.network["name"]
    return f"[{family}](../reference/flaxgan.networks.{family}.rst)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
