"""The rules of how the code is laid out, checked by reading it."""

import ast
import pathlib
import subprocess
import sys

import pytest

from flaxgan import lookup, networks

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "flaxgan"

MAX_LINES = 350

FIRST = ("types", "lookup", "prng", "safe_write", "config", "errors")
SIDES = ("losses", "augment", "data", "metrics", "convert")

# What the modules of each group may import, beside their own group.
ALLOWED = {
    **dict.fromkeys(FIRST, FIRST),
    "ops": FIRST,
    "nn": (*FIRST, "ops"),
    "networks": (*FIRST, "ops", "nn"),
    **dict.fromkeys(SIDES, (*FIRST, "ops")),
    "train": (*FIRST, "ops", "nn", "networks", *SIDES),
    "cli": (*FIRST, "ops", "nn", "networks", *SIDES, "train"),
}

FILES = sorted(PACKAGE.rglob("*.py"))
OTHER_FILES = [ROOT / "train.py", *sorted((ROOT / "configs").glob("*.py"))]


def _name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def _group(path: pathlib.Path) -> str:
    """The package or module right below flaxgan; empty for flaxgan/__init__.py."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


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


def test_every_package_has_its_place_in_the_order():
    assert {_group(path) for path in FILES} - {""} == set(ALLOWED)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_point_one_way(path):
    group = _group(path)
    allowed = {group, *ALLOWED.get(group, ())}
    imported = {name for name in _imported(_parse(path)) if name.startswith("flaxgan.")}
    wrong = {name for name in imported if name.split(".")[1] not in allowed}
    assert not wrong, f"{_name(path)} may import {sorted(allowed)} only"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_are_absolute_and_of_public_names(path):
    names = _imported(_parse(path))
    assert not {name for name in names if name.startswith(".")}
    private = {name for name in names if any(part.startswith("_") for part in name.split("."))}
    assert not {name for name in private if not name.startswith(f"flaxgan.{_group(path)}.")}
    assert not {name for name in names if name.startswith(("jax.core", "jax.interpreters", "jaxlib"))}
    assert not {name for name in names if name.split(".")[0] in ("tensorflow", "torch")}


def test_importing_the_package_is_cheap():
    heavy = ("jax", "flax", "grain", "orbax", "PIL", "numpy", "sklearn", "tensorboardX", "tyro", "optax")
    program = f"import flaxgan, sys; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [*FILES, *OTHER_FILES], ids=_name)
def test_no_bare_asserts_and_nothing_left_to_do(path):
    text = path.read_text()
    asserts = [node.lineno for node in ast.walk(_parse(path)) if isinstance(node, ast.Assert)]
    assert not asserts, f"lines {asserts}"
    for word in ("TODO", "FIXME", "XXX", "NotImplementedError", "breakpoint("):
        assert word not in text


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


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_public_code_has_docstrings(path):
    tree = _parse(path)
    assert ast.get_docstring(tree) or not tree.body, "the module"
    definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not [node.name for node in definitions if not node.name.startswith("_") and not ast.get_docstring(node)]
