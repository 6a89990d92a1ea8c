"""Lookup of code by its name in a recipe. A name in a config is the name of the code: there are no registries."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any


def module(package: ModuleType, name: str) -> ModuleType:
    """Imports the module `name` of a package.

    Args:
      package: an imported package, e.g. `flaxgan.networks`.
      name: name of one of its modules, without dots.

    Raises:
      ValueError: if the package has no public module of that name; the message lists the public modules.
    """
    names = module_names(package)
    if name not in names:
        raise ValueError(f"{package.__name__} has no module {name!r}; allowed: {', '.join(names)}")
    return importlib.import_module(f"{package.__name__}.{name}")


def module_names(package: ModuleType) -> list[str]:
    """Returns the names of the public modules of a package, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_"))


def function(owner: ModuleType, name: str) -> Callable[..., Any]:
    """Returns the public function `name` that is defined in the module `owner`.

    Raises:
      ValueError: if the module defines no such function; the message lists its public functions.
    """
    names = function_names(owner)
    if name not in names:
        raise ValueError(f"{owner.__name__} has no function {name!r}; allowed: {', '.join(names)}")
    return vars(owner)[name]


def function_names(owner: ModuleType) -> list[str]:
    """Returns the names of the public functions defined in (not imported into) a module, sorted."""
    found = inspect.getmembers(owner, inspect.isfunction)
    return sorted(name for name, f in found if f.__module__ == owner.__name__ and not name.startswith("_"))
