"""From a name in a recipe to the code of that name. A config string IS the code's name: there are no registries."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from types import ModuleType


def module(package: ModuleType, name: str) -> ModuleType:
    """The module `name` inside `package`.

    Args:
      package: an imported package, e.g. `flaxgan.networks`.
      name: name of one of its modules, without dots.

    Raises:
      ValueError: if the package has no public module of that name; the message lists those it has.
    """
    names = module_names(package)
    if name not in names:
        raise ValueError(f"{package.__name__} has no module {name!r}; allowed: {', '.join(names)}")
    return importlib.import_module(f"{package.__name__}.{name}")


def module_names(package: ModuleType) -> list[str]:
    """Names of the public modules of a package, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_"))


def function(owner: ModuleType, name: str) -> Callable:
    """The public function `name` that is defined in module `owner`.

    Raises:
      ValueError: if it defines no such public function; the message lists those it does.
    """
    names = function_names(owner)
    if name not in names:
        raise ValueError(f"{owner.__name__} has no function {name!r}; allowed: {', '.join(names)}")
    return vars(owner)[name]


def function_names(owner: ModuleType) -> list[str]:
    """Names of the public functions defined in (not imported into) a module, sorted."""
    found = inspect.getmembers(owner, inspect.isfunction)
    return sorted(name for name, f in found if f.__module__ == owner.__name__ and not name.startswith("_"))
