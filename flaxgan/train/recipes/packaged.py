"""The recipes that come with flaxgan, found by name in a checkout and in an installed package alike."""

import pathlib
import re

from flaxgan.errors import FieldError


def folder() -> pathlib.Path:
    """Returns the folder of the recipes: flaxgan/configs in an installed package, configs/ in a checkout."""
    package = pathlib.Path(__file__).parents[2]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def names() -> list[str]:
    """Returns the names of the recipes, sorted."""
    return sorted(path.stem for path in folder().glob("*.py"))


def split(recipe: str) -> tuple[str, str]:
    """Splits what `--config` takes into the name or path of a recipe, and its variant ("" for none).

    Args:
      recipe: NAME, NAME:VARIANT, FILE.py or FILE.py:VARIANT.
    """
    path, separator, variant = recipe.partition(".py:")
    if separator:
        return f"{path}.py", variant
    if _is_name(recipe):
        name, _, variant = recipe.partition(":")
        return name, variant
    return recipe, ""


def locate(recipe: str) -> tuple[pathlib.Path, str]:
    """Finds the file of a recipe.

    Args:
      recipe: NAME, NAME:VARIANT, FILE.py or FILE.py:VARIANT.

    Returns:
      The file, which exists if it was given by name, and the variant ("" for none).

    Raises:
      FieldError: if there is no recipe of that name.
    """
    found, variant = split(recipe)
    if not _is_name(recipe):
        return pathlib.Path(found), variant
    if found not in names():
        raise FieldError("--config", recipe, f"{', '.join(names())}, or the path of a recipe, such as my_recipe.py")
    return folder() / f"{found}.py", variant


def _is_name(recipe: str) -> bool:
    """Returns whether a recipe is given by name: a path has a dot or a separator in it."""
    return re.fullmatch(r"[\w-]+(:[^/\\]*)?", recipe) is not None
