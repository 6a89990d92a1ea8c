"""Collection of the golden numbers; see goldens.py. What was checked is printed by ../conftest.py."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # For `import goldens`, whatever pytest's import mode.

import goldens


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests of a module whose file is not in the folder, which pytest would count as skipped."""
    empty = [item for item in items if "NOTSET" in item.name and item.path.parent == goldens.HERE]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]
