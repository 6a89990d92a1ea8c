"""Lists the recipes: family, variants, paper, published score, whether this project reproduced it, and the command.

Everything comes from the recipes themselves: from their headers, and from the configs that they return. A recipe with a
malformed header is refused.
"""

import argparse
import ast
import inspect
import json
import pathlib
import re
from typing import Any, NamedTuple

from flaxgan.config import Config
from flaxgan.errors import FieldError, Words
from flaxgan.train.recipes import loader, packaged

HEADER_FIELDS = ("Paper", "Command", "Data", "Hardware", "Published", "Reproduced")
"""Fields of every recipe's docstring, in this order. Each begins a line with the word and a colon."""

REPRODUCED = {"reproduced": True, "not reproduced": False, "nothing to reproduce": None}
"""Words that the field Reproduced begins with, and their meaning."""

_NO_VARIANT = "no-such-variant"


class Recipe(NamedTuple):
    """One recipe.

    Attributes:
      path: its file.
      summary: the first line of its header.
      header: the fields of its header, by name.
      config: the config that it returns by default.
      variants: its other variants.
    """

    path: pathlib.Path
    summary: str
    header: dict[str, str]
    config: Config
    variants: tuple[str, ...]

    @property
    def reproduced(self) -> bool | None:
        """Whether this project has reproduced the published score; None where there is none to reproduce."""
        verdict = _verdict(self.header["Reproduced"])
        return None if verdict is None else REPRODUCED[verdict]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `flaxgan recipes`."""
    folder = "a folder of other recipes (default: those that come with flaxgan)"
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help=folder)
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of lines")


def run(arguments: argparse.Namespace) -> None:
    """Prints the recipes in the order of their names."""
    by_name = arguments.folder is None
    found = [_facts(one, by_name=by_name) for one in read_all(packaged.folder() if by_name else arguments.folder)]
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for facts in found:
        print(f"{facts['recipe']}: {facts['summary']}")
        lines = {"family": facts["family"], "variants": ", ".join(facts["variants"]) or "none"}
        lines |= {"paper": facts["paper"], "published": facts["published"], "reproduced": facts["reproduced_text"]}
        lines |= {"train": facts["command"]}
        for name, text in lines.items():
            print(f"  {name:<11}{text}")
        print()
    spec = "NAME" if by_name else "FILE"
    print(f"{len(found)} recipes; train one with: flaxgan train --config {spec}, or {spec}:VARIANT")


def read_all(folder: str | pathlib.Path) -> list[Recipe]:
    """Reads the recipes of a folder, in the order of their names.

    Raises:
      ValueError: if there are none, and naming the file and its mistake if one is malformed.
    """
    paths = sorted(pathlib.Path(folder).glob("*.py"))
    if not paths:
        raise FieldError("FOLDER", Words(f"{folder} without recipes"), "a folder of recipe files, such as configs/")
    return [read(path) for path in paths]


def read(path: pathlib.Path) -> Recipe:
    """Reads one recipe.

    Raises:
      ValueError: naming the file and what is wrong with its header or its get_config().
    """
    summary, header = read_header(path)
    try:
        return Recipe(path, summary, header, loader.load_recipe(str(path)), variants(path))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if str(path) in message else f"{path}: {message}") from error


def read_header(path: pathlib.Path) -> tuple[str, dict[str, str]]:
    """Reads the first line and the fields of a recipe's docstring; a field's further lines are indented.

    Raises:
      ValueError: naming the file and what is wrong.
    """
    try:
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not a Python file ({error})") from error
    words = "|".join(HEADER_FIELDS)
    fields = re.findall(rf"^({words}):[ \t]*(.*(?:\n[ \t]+.*)*)", text, re.MULTILINE)
    names = [name for name, _ in fields]
    if names != list(HEADER_FIELDS):
        allowed = ", ".join(f"{name}:" for name in HEADER_FIELDS)
        raise FieldError(f"{path}: header", Words(", ".join(names) or "no fields"), f"lines that begin {allowed}")
    header = {name: " ".join(value.split()) for name, value in fields}
    _check_header(path, header)
    return text.splitlines()[0], header


def variants(path: pathlib.Path) -> tuple[str, ...]:
    """Returns the variants that get_config(variant) takes: those that its refusal of an unknown one names.

    Raises:
      ValueError: if it takes a variant and refuses none, or names none.
    """
    if not _takes_variant(path):
        return ()
    try:
        loader.load_recipe(f"{path}:{_NO_VARIANT}")
    except ValueError as error:
        refusal = str(error)
    else:
        raise FieldError(f"{path}: get_config()", Words("that it takes any variant"), "to refuse unknown ones")
    _, _, words = refusal.rpartition("allowed:")
    # Such a list may hold other words: "tiny, or none".
    found = tuple(word for word in dict.fromkeys(re.findall(r"[\w-]+", words)) if _is_variant(path, word))
    if not found:
        raise FieldError(f"{path}: get_config()", refusal, "an error that lists the variants")
    return found


def _takes_variant(path: pathlib.Path) -> bool:
    return "variant" in inspect.signature(loader.import_get_config(path)).parameters


def _is_variant(path: pathlib.Path, word: str) -> bool:
    try:
        loader.load_recipe(f"{path}:{word}")
    except ValueError:
        return False
    return True


def _check_header(path: pathlib.Path, header: dict[str, str]) -> None:
    for name, value in header.items():
        if not value:
            raise FieldError(f"{path}: header", Words(f"nothing after {name}:"), "some words")
    if not re.match(rf"python train\.py --config \S*\b{re.escape(path.name)}\b", header["Command"]):
        allowed = f"python train.py --config configs/{path.name} ..."
        raise FieldError(f"{path}: header: Command", header["Command"], allowed)
    if _verdict(header["Reproduced"]) is None:
        allowed = f"to begin with one of: {', '.join(REPRODUCED)}"
        raise FieldError(f"{path}: header: Reproduced", header["Reproduced"], allowed)


def _verdict(text: str) -> str | None:
    return next((words for words in REPRODUCED if text.lower().startswith(words)), None)


def _facts(one: Recipe, *, by_name: bool) -> dict[str, Any]:
    """Returns what is printed about a recipe; `recipe` is what --config takes, a name or a path."""
    recipe = one.path.stem if by_name else str(one.path)
    return {
        "recipe": recipe,
        "summary": one.summary,
        "family": one.config.network["name"],
        "variants": list(one.variants),
        "paper": one.header["Paper"],
        "data": one.header["Data"],
        "hardware": one.header["Hardware"],
        "published": one.header["Published"],
        "reproduced": one.reproduced,
        "reproduced_text": one.header["Reproduced"],
        "command": _command(one.header["Command"], recipe),
    }


def _command(text: str, recipe: str) -> str:
    """Returns the command to train a recipe, from its header's, without the remark in brackets that may follow it."""
    overrides = re.sub(r"^python train\.py --config \S+", "", re.sub(r"\s+\(.*\)$", "", text))
    return f"flaxgan train --config {recipe}{overrides}"
