"""What the fields of a recipe's data section are on the command line of `flaxgan dataset`, where messages name them."""

import re

_FIELD = re.compile(
    r"(?<![\w/.-])(?:config\.)?data\.(resolution|channels|crop|resize|labels|on_error|source|path|num_classes=0)\b=?"
)
_OTHER_NAMES = {"path": "SRC", "num_classes=0": "--labels none"}


def with_flags(message: str) -> str:
    """A message in which data.on_error=skip, as recipes have it, is --on-error skip."""
    return _FIELD.sub(_flag, message)


def _flag(found: re.Match[str]) -> str:
    name = _OTHER_NAMES.get(found[1], f"--{found[1].replace('_', '-')}")
    return f"{name} " if found[0].endswith("=") else name
