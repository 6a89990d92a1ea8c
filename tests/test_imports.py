"""Rules of the layout that neither ruff nor the import contracts of pyproject.toml can express."""

import ast
import pathlib
import subprocess
import sys

import pytest

from flaxgan import lookup, networks

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "flaxgan"

MAX_LINES = 350

FILES = sorted(PACKAGE.rglob("*.py"))
OTHER_FILES = [ROOT / "train.py", *sorted((ROOT / "configs").glob("*.py"))]


def _name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def _imported(tree: ast.AST) -> set[str]:
    """Full names of all modules, or things in them, that are imported anywhere in a file."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level
            names |= {f"{relative}{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def _parse(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_are_of_public_names(path):
    names = _imported(_parse(path))
    package = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    private = {name for name in names if any(part.startswith("_") for part in name.split("."))}
    assert not {name for name in private if not name.startswith(f"flaxgan.{package}.")}
    assert not {name for name in names if name.startswith(("jax.core", "jax.interpreters", "jaxlib"))}
    assert not {name for name in names if name.split(".")[0] in ("tensorflow", "torch")}


def test_importing_the_package_is_cheap():
    heavy = ("jax", "flax", "grain", "orbax", "PIL", "numpy", "sklearn", "tensorboardX", "tyro", "optax")
    program = f"import flaxgan, sys; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [*FILES, *OTHER_FILES], ids=_name)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", [*PACKAGE.rglob("train/**/*.py"), ROOT / "train.py"], ids=_name)
def test_the_trainer_names_no_family(path):
    """It treats every family alike: what a family needs, it says through `Gan`."""
    tree = _parse(path)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    texts = [text for text in texts if isinstance(text, str)]
    for family in lookup.module_names(networks):
        assert family not in names
        assert not [text for text in texts if family in text.lower().replace("-", "")]
        assert not [name for name in _imported(tree) if family in name]
