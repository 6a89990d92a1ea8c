"""Programs of these tests are tiny: compiling them quickly saves more time than running them fast."""

import pytest
import tiny_runs


@pytest.fixture(scope="package", autouse=True)
def quick_compilation():
    with tiny_runs.quick_compilation():
        yield
