"""The README stays a front page, and its example runs as it stands."""

import re

from doc_examples import ROOT, example

README = ROOT / "README.md"
MAX_LINES = 150


def test_library_example_runs_and_gives_what_it_says():
    names = {}
    exec(compile(example("README.md", "library"), str(README), "exec"), names)
    assert names["ws"].shape == (4, names["gan"].generator.num_ws, 64)
    assert names["penalty"].shape == names["lengths"].shape == (4,)
    assert (names["lengths"] > 0).all()
    assert names["features"].shape == (4, 16, 24, 16)
    # Every style is 1 and so is every weight: demodulation divides by sqrt(3 * 3 * 3).
    inner = names["noise"][:, 4:7, 4:7].sum(axis=(1, 2, 3)) / 27**0.5
    assert abs(names["features"][:, 5, 5, 0] - inner).max() < 1e-4


def test_library_example_is_about_ten_lines():
    lines = example("README.md", "library").splitlines()
    assert len([line for line in lines if line and not line.startswith(("import", "from"))]) <= 10


def test_readme_is_a_front_page():
    text = README.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert links and not [link for link in links if not (ROOT / link).exists()]


def test_readme_lists_every_recipe():
    named = set(re.findall(r"^\| `(\w+)` \|", README.read_text(), re.MULTILINE))
    assert named == {path.stem for path in (ROOT / "configs").glob("*.py")}
