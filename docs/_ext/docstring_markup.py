"""Makes reStructuredText of the package's docstrings, which are plain text with single backticks.

Hooks of autodoc, all of which run before napoleon reads the sections:

* characters that have a meaning in RST (`*args`, `|x|`, `name_`) are escaped;
* names in single backticks become links to the objects of that name where there are any, other code is set as code;
* blocks indented below a paragraph become code blocks, and several named results of a function a list;
* signatures of Linen modules lose the two arguments that Linen adds to every module.
"""

import ast
import re
import textwrap
from typing import Any

from sphinx.application import Sphinx

BEFORE_NAPOLEON = 400

MAX_SIGNATURE = 1000
"""Characters; a class with a longer signature, such as a config, is described by its fields."""

_CODE = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][\w.]*(\(\))?")
_SECTION = re.compile(r"[A-Z]\w+:$")
_RESULT = re.compile(r"  (\w+(?:, \w+)*): ")
_QUALIFIED = re.compile(r"~(?:\w+\.)*(\w+)")
_LINEN_ARGUMENTS = re.compile(r",?\s*\b(parent|name)\s*(:[^=,()]*(\[[^\]]*\])?[^=,()]*)?=\s*(<[^>]*>|None)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the hooks."""
    app.connect("autodoc-process-docstring", _on_docstring, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-process-signature", _on_signature)
    app.connect("autodoc-skip-member", _on_member)
    return {"parallel_read_safe": True}


def as_rst(text: str) -> str:
    """Turns a docstring into RST with Google-style sections."""
    in_sections, done = False, []
    for block in map(_references, text.split("\n\n")):
        in_sections = in_sections or bool(_SECTION.match(block.partition("\n")[0]))
        done.append(_block(block, is_code=not in_sections and block.startswith("    ")))
    return "\n\n".join(done)


def escape(text: str) -> str:
    """Escapes what is markup in RST but not in the docstrings; keeps bullets, and turns code into links."""
    parts = _CODE.split(text)
    return "".join(_code(part) if index % 2 else _escape_prose(part) for index, part in enumerate(parts))


def _references(block: str) -> str:
    """Moves text that follows `Reference:` on its line into a section of its own."""
    found = re.match(r"References?: +(?=\S)", block)
    if not found:
        return block
    return "References:\n" + "\n".join(f"  {line.strip()}" for line in block[found.end() :].split("\n"))


def _block(block: str, *, is_code: bool) -> str:
    if is_code:
        return f".. code-block:: {_language(block)}\n\n{block}"
    first, _, rest = escape(block).partition("\n")
    if first == "Returns:" and len(re.findall(_RESULT.pattern, rest, re.MULTILINE)) > 1:
        rest = "\n".join(_list_item(line) for line in rest.split("\n"))
    return f"{first}\n{rest}" if rest else first


def _language(block: str) -> str:
    try:
        ast.parse(textwrap.dedent(block))
    except SyntaxError:
        return "text"
    return "python"


def _list_item(line: str) -> str:
    """One line of a list of named results, or the continuation of one; napoleon takes a colon for the end of a type."""
    found = _RESULT.match(line)
    return f"  * **{found[1]}** -- {line[found.end() :]}" if found else line


def _escape_prose(text: str) -> str:
    text = text.replace("\\", "\\\\")
    text = re.sub(r"(?m)^( *)\* ", "\\1\0", text)  # A bullet.
    text = re.sub(r"([*|])", r"\\\1", text)
    text = re.sub(r"(\w)_(?!\w)", r"\1\\_", text)
    return text.replace("\0", "* ")


def _code(text: str) -> str:
    code = " ".join(text.strip("`").split())
    return f":py:obj:`{code}`" if _NAME.fullmatch(code) else f"``{code}``"


def _on_docstring(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_rst("\n".join(lines)).split("\n")


def _on_signature(app, what, name, thing, options, signature: str | None, returns: str | None):
    if what == "class" and signature and "parent" in signature:
        signature = _LINEN_ARGUMENTS.sub("", signature)
    if signature and "=<" in signature.replace(" ", ""):  # Sphinx cannot read such a default, nor shorten names.
        signature = _QUALIFIED.sub(r"\1", signature)
    if what == "class" and signature and len(signature) > MAX_SIGNATURE:
        signature = "(...)"
    return signature, returns


def _on_member(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leaves out the fields of named tuples, which the class's own docstring describes."""
    return True if type(thing).__name__ == "_tuplegetter" else None
