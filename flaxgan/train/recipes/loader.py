"""Recipes: Python files whose get_config() returns a Config."""

import importlib.util
import inspect
import pathlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from flaxgan.config import Config
from flaxgan.train.step import binding


def recipe_name(recipe: str) -> str:
    """The name of a recipe's default run folder: file name and variant."""
    path, _, variant = recipe.partition(".py:")
    stem = pathlib.Path(path).name.removesuffix(".py")
    return f"{stem}-{variant}" if variant else stem


def load_recipe(recipe: str, resolution: int | tuple[int, ...] | None = None) -> Config:
    """The completed config of a recipe FILE or FILE:VARIANT.

    Args:
      recipe: the file, and after a colon the variant that its get_config(variant) is called with.
      resolution: the value given for data.resolution, for a get_config(resolution) that derives other fields from it.

    Raises:
      ValueError: naming the file and what is wrong with it.
    """
    path, separator, variant = recipe.partition(".py:")
    path = pathlib.Path(f"{path}.py" if separator else path)
    get_config = import_get_config(path)
    takes = _parameters(path, get_config)
    if variant and "variant" not in takes:
        raise ValueError(f"--config: {path} has no variants, found {variant!r}, allowed: {path}")
    given = {"variant": variant} if variant else {}
    if resolution and "resolution" in takes:
        given["resolution"] = resolution
    with _naming(path):
        config = get_config(**given)
    if not isinstance(config, Config):
        raise ValueError(f"--config: get_config() of {path} returned {type(config).__name__}, allowed: a Config")
    return binding.complete(config)


def import_get_config(path: pathlib.Path) -> Callable[..., Config]:
    """The function get_config of a recipe file.

    Raises:
      ValueError: naming the file and what is wrong with it.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"--config: {path} is no file, allowed: a recipe file")
    if not path.is_file():
        known = ", ".join(sorted(str(found) for found in path.parent.glob("*.py"))) or "none in that folder"
        raise ValueError(f"--config: {path} does not exist, allowed: a recipe file (found: {known})")
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    if spec is None:
        raise ValueError(f"--config: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    with _naming(path):
        spec.loader.exec_module(module)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise ValueError(f"--config: {path} defines no get_config()")
    return get_config


def _parameters(path: pathlib.Path, get_config: Callable[..., Config]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(get_config).parameters
    except (ValueError, TypeError) as error:
        raise ValueError(f"--config: get_config of {path} is {get_config!r}, allowed: a function") from error


@contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
    """A recipe is code, in which anything can go wrong: the file is named, whatever it is."""
    try:
        yield
    except (Exception, SystemExit) as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"--config: {path}: {kind}{_text(error)}") from error


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # errors are code, too
        return type(error).__name__
