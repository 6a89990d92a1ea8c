"""The README's example of flaxgan as a library is run as it stands."""

import pathlib
import re

README = pathlib.Path(__file__).parent.parent / "README.md"


def example() -> str:
    """The code block behind the marker that names this file."""
    text = README.read_text()
    found = re.search(r"<!-- library-example.*?-->\n```python\n(.*?)```", text, re.DOTALL)
    return found[1]


def test_library_example_runs_and_gives_what_it_says():
    names = {}
    exec(compile(example(), str(README), "exec"), names)
    assert names["ws"].shape == (4, names["gan"].generator.num_ws, 64)
    assert names["penalty"].shape == names["lengths"].shape == (4,)
    assert (names["lengths"] > 0).all()
    assert names["features"].shape == (4, 16, 24, 16)
    # Every style is 1 and so is every weight: demodulation divides by sqrt(3 * 3 * 3).
    inner = names["noise"][:, 4:7, 4:7].sum(axis=(1, 2, 3)) / 27**0.5
    assert abs(names["features"][:, 5, 5, 0] - inner).max() < 1e-4


def test_library_example_is_about_ten_lines():
    assert len([line for line in example().splitlines() if line and not line.startswith(("import", "from"))]) <= 10
