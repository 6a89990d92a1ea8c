"""Lists the recipes of a folder: family, variants, paper, published score, and whether this project reproduced it.

Everything comes from the recipes themselves: what they say in their headers, and the configs that they return. A recipe
whose header is not in order is refused.
"""

import argparse
import ast
import inspect
import json
import pathlib
import re
from typing import NamedTuple

from flaxgan.config import Config
from flaxgan.train.recipes import loader

HEADER_FIELDS = ("Paper", "Command", "Data", "Hardware", "Published", "Reproduced")
"""What every recipe's docstring says, each on a line that begins with the word and a colon, in this order."""

REPRODUCED = {"reproduced": True, "not reproduced": False, "nothing to reproduce": None}
"""What the field Reproduced begins with, and what that means."""

_NO_VARIANT = "no-such-variant"


class Recipe(NamedTuple):
    """One recipe.

    Attributes:
      path: its file.
      summary: the first line of its header.
      header: the fields of its header, by name.
      config: what it returns by default.
      variants: the variants that it has besides.
    """

    path: pathlib.Path
    summary: str
    header: dict[str, str]
    config: Config
    variants: tuple[str, ...]

    @property
    def reproduced(self) -> bool | None:
        """Whether this project has reproduced the published score; None where there is none to reproduce."""
        return REPRODUCED[_verdict(self.header["Reproduced"])]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `flaxgan recipes`."""
    parser.add_argument("folder", metavar="FOLDER", nargs="?", default="configs", help="default: configs")
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of lines")


def run(arguments: argparse.Namespace) -> None:
    """Prints the recipes in the order of their names."""
    found = [_facts(one) for one in read_all(arguments.folder)]
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for facts in found:
        print(f"{facts['recipe']}: {facts['summary']}")
        lines = {"family": facts["family"], "variants": ", ".join(facts["variants"]) or "none"}
        lines |= {"paper": facts["paper"], "published": facts["published"], "reproduced": facts["reproduced_text"]}
        for name, text in lines.items():
            print(f"  {name:<11}{text}")
        print()
    print(f"{len(found)} recipes; train one with: python train.py --config FILE, or FILE:VARIANT")


def read_all(folder: str | pathlib.Path) -> list[Recipe]:
    """The recipes of a folder, by name.

    Raises:
      ValueError: if there are none, and naming the file and its mistake if one is not in order.
    """
    paths = sorted(pathlib.Path(folder).glob("*.py"))
    if not paths:
        raise ValueError(f"{folder}: holds no recipes; allowed: a folder of recipe files, such as configs/")
    return [read(path) for path in paths]


def read(path: pathlib.Path) -> Recipe:
    """One recipe.

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
    """The first line and the fields of a recipe's docstring; a field's further lines are indented.

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
        raise ValueError(
            f"{path}: header: found {', '.join(names) or 'no fields'}, allowed: lines that begin {allowed}"
        )
    header = {name: " ".join(value.split()) for name, value in fields}
    _check_header(path, header)
    return text.splitlines()[0], header


def variants(path: pathlib.Path) -> tuple[str, ...]:
    """The variants that get_config(variant) takes: those that its refusal of an unknown one names.

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
        raise ValueError(f"{path}: get_config(): found that it takes any variant, allowed: to refuse unknown ones")
    _, _, words = refusal.rpartition("allowed:")
    # Such a list may hold other words: "tiny, or none".
    found = tuple(word for word in dict.fromkeys(re.findall(r"[\w-]+", words)) if _is_variant(path, word))
    if not found:
        raise ValueError(f"{path}: get_config(): found {refusal!r}, allowed: an error that lists the variants")
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
            raise ValueError(f"{path}: header: found nothing after {name}:, allowed: some words")
    if not re.match(rf"python train\.py --config \S*\b{re.escape(path.name)}\b", header["Command"]):
        allowed = f"python train.py --config configs/{path.name} ..."
        raise ValueError(f"{path}: header: Command: found {header['Command']!r}, allowed: {allowed}")
    if _verdict(header["Reproduced"]) is None:
        allowed = ", ".join(REPRODUCED)
        raise ValueError(
            f"{path}: header: Reproduced: found {header['Reproduced']!r}, allowed: to begin with one of: {allowed}"
        )


def _verdict(text: str) -> str | None:
    return next((words for words in REPRODUCED if text.lower().startswith(words)), None)


def _facts(one: Recipe) -> dict:
    return {
        "recipe": str(one.path),
        "summary": one.summary,
        "family": one.config.network["name"],
        "variants": list(one.variants),
        "paper": one.header["Paper"],
        "data": one.header["Data"],
        "hardware": one.header["Hardware"],
        "published": one.header["Published"],
        "reproduced": one.reproduced,
        "reproduced_text": one.header["Reproduced"],
    }
