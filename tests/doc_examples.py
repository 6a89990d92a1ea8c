"""The examples of the documentation: code blocks behind an HTML comment with their name."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent


def example(page: str, name: str) -> str:
    """The code block of a page, such as docs/guides/tfds.md, behind the marker `<!-- NAME-example ... -->`."""
    text = (ROOT / page).read_text()
    found = re.search(rf"<!-- {name}-example.*?-->\n```python\n(.*?)```", text, re.DOTALL)
    if not found:
        raise ValueError(f"{page}: has no example {name!r}")
    return found[1]
