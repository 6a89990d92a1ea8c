"""Writes a page for each public module of the packages that users import; autodoc fills them."""

import importlib
import pathlib
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from flaxgan import lookup

PACKAGES = {
    "ops": "Pure functions on arrays: resampling, convolutions, normalizations.",
    "nn": "Linen layers and the parts that networks are made of.",
    "networks": "GAN families: one module each, with `build`.",
    "losses": "Adversarial losses, regularizers and gradient penalties.",
    "augment": "Adaptive discriminator augmentation.",
    "data": "Sources of images, and deterministic batches.",
    "metrics": "Quality measures on features and images.",
    "config": "The fields of a recipe.",
}
"""Packages with a page for each of their modules (and for those of the packages inside), and their contents."""

MODULES = {
    "flaxgan.train.trained": "Trained networks from a run folder.",
    "flaxgan.train.step.state": "The train state.",
    "flaxgan.train.step.regularizer_inputs": "The inputs of regularizers.",
    "flaxgan.train.step.loss_context": "One round of a phase, as losses and regularizers see it.",
    "flaxgan.types": "The types that all packages share.",
    "flaxgan.errors": "Errors that name a field.",
    "flaxgan.prng": "Random keys.",
}
"""Single modules besides."""

NAME = "reference"

MAX_VALUE = 400
"""Characters of a constant's value."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Writes the pages before Sphinx looks for them."""
    app.connect("builder-inited", lambda app: write(pathlib.Path(app.srcdir) / NAME))
    return {"parallel_read_safe": True}


def write(folder: pathlib.Path) -> None:
    """Writes all pages into a folder, and removes pages of modules that are gone."""
    pages = {"index": _index()}
    for name, text in PACKAGES.items():
        package = importlib.import_module(f"flaxgan.{name}")
        found = modules(package)
        pages[package.__name__] = _package_page(package, text, found)
        pages |= {module: _module_page(module) for module in found}
    pages |= {module: _module_page(module) for module in MODULES}
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    for name, page in pages.items():
        write_if_changed(folder / f"{name}.rst", page)


def write_if_changed(path: pathlib.Path, text: str) -> None:
    """Writes a file, unless it holds the text already: Sphinx then has nothing to read again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def modules(package: ModuleType) -> list[str]:
    """Full names of the public modules of a package and of the packages inside it."""
    found = []
    for name in lookup.module_names(package):
        module = importlib.import_module(f"{package.__name__}.{name}")
        found += modules(module) if hasattr(module, "__path__") else [module.__name__]
    return found


def _index() -> str:
    rows = {f"flaxgan.{name}": text for name, text in PACKAGES.items()} | MODULES
    lines = [f":doc:`{name}`: {text.replace('`', '``')}" for name, text in rows.items()]
    intro = "Every public function and class, from its docstring."
    return _page("Reference", intro, _bullets(lines), _toctree(rows))


def _package_page(package: ModuleType, text: str, found: list[str]) -> str:
    automodule = f".. automodule:: {package.__name__}\n   :ignore-module-all:\n"
    own = automodule if package.__doc__ else text.replace("`", "``")
    return _page(package.__name__, own, _bullets(f":doc:`{name}`" for name in found), _toctree(found))


def _module_page(name: str) -> str:
    """One module; constants with long values are shown without them."""
    values = vars(importlib.import_module(name))
    described = [key for owner, key in ModuleAnalyzer.for_module(name).find_attr_docs() if not owner]
    long = [key for key in described if key[0] != "_" and len(repr(values[key])) > MAX_VALUE]
    directives = [f".. autodata:: {name}.{key}\n   :no-value:" for key in long]
    excluded = f"\n   :exclude-members: {', '.join(long)}" if long else ""
    return _page(name, f".. automodule:: {name}{excluded}", *directives)


def _page(title: str, *parts: str) -> str:
    text = "\n\n".join([f"{title}\n{'=' * len(title)}", *parts])
    return f"{text}\n"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)


def _toctree(names: Any) -> str:
    """Entries without the parts of their names that are the same for all."""
    entries = (f"   {re.sub(r'^flaxgan[.](?:[a-z]+[.])?', '', name)} <{name}>\n" for name in names)
    return f".. toctree::\n   :hidden:\n\n{''.join(entries)}"
