"""Recipes: Python files whose get_config() returns a Config."""

import importlib.util
import inspect
import pathlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flaxgan.config import Config
from flaxgan.errors import FieldError, Words
from flaxgan.train.recipes import packaged


def recipe_name(recipe: str) -> str:
    """Returns the name of a recipe's default run folder: file name and variant."""
    path, variant = packaged.split(recipe)
    stem = pathlib.Path(path).name.removesuffix(".py")
    return f"{stem}-{variant}" if variant else stem


def load_recipe(recipe: str, resolution: int | tuple[int, ...] | None = None) -> Config:
    """Loads the completed config of a recipe.

    Args:
      recipe: the name of a recipe that comes with flaxgan, or a file FILE.py; after a colon the variant that its
        get_config(variant) is called with.
      resolution: the value given for data.resolution, for a get_config(resolution) that derives other fields from it.

    Raises:
      ValueError: naming the file and what is wrong with it.
    """
    from flaxgan.train.step import binding  # Imports JAX, which listing recipes can do without.

    path, variant = packaged.locate(recipe)
    get_config = import_get_config(path)
    takes = _parameters(path, get_config)
    if variant and "variant" not in takes:
        raise FieldError("--config", Words(f"variant {variant!r} of {path}"), f"{path}, which has no variants")
    given: dict[str, Any] = {"variant": variant} if variant else {}
    if resolution and "resolution" in takes:
        given["resolution"] = resolution
    with _naming(path):
        config = get_config(**given)
    if not isinstance(config, Config):
        returned = Words(f"get_config() of {path}, which returned {type(config).__name__}")
        raise FieldError("--config", returned, "one that returns a Config")
    return binding.complete(config)


def import_get_config(path: pathlib.Path) -> Callable[..., Any]:
    """Imports the function get_config of a recipe file.

    Raises:
      ValueError: naming the file and what is wrong with it.
    """
    if path.exists() and not path.is_file():
        raise FieldError("--config", Words(f"{path}, which is not a file"), "a recipe file")
    if not path.is_file():
        known = ", ".join(sorted(str(found) for found in path.parent.glob("*.py"))) or "no recipe in that folder"
        raise FieldError("--config", Words(f"{path}, which does not exist"), f"a recipe file ({known})")
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FieldError("--config", Words(str(path)), "a Python file")
    module = importlib.util.module_from_spec(spec)
    with _naming(path):
        spec.loader.exec_module(module)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise FieldError("--config", Words(f"{path} without get_config()"), "a recipe file that defines it")
    return get_config


def _parameters(path: pathlib.Path, get_config: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(get_config).parameters
    except (ValueError, TypeError) as error:
        raise FieldError("--config", Words(f"get_config = {get_config!r} in {path}"), "a function") from error


@contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
    """Names the recipe in an error of any kind: a recipe is code, in which anything can go wrong."""
    try:
        yield
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"--config: {path}: {kind}{_text(error)}") from error


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # An error's own code may fail, too.
        return type(error).__name__
