"""Prepared TFDS sets on disk: the syntax of data.path, and the command that prepares a missing set."""

import os
import re
from typing import NamedTuple

from etils import epath

from flaxgan.data.field_checks import SCHEMES, path_error
from flaxgan.errors import FieldError

SYNTAX = (
    "NAME[/CONFIG][:VERSION][:SPLIT][?image=KEY&label=KEY] with config.data.source='tfds', such as 'cifar10' or "
    "'celeb_a:train[:90%]?label=attributes', which is read from $TFDS_DATA_DIR or ~/tensorflow_datasets; or with a "
    "path instead of NAME, such as '/data/tfds/cifar10'"
)
DEFAULT_SPLIT = "train"

_INFO_NAME = "dataset_info.json"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PARTS = re.compile(
    rf"(?P<place>[^:?]+)(:(?P<version>{_VERSION.pattern}))?(:(?P<split>[A-Za-z_][^?]*))?(\?(?P<keys>.*))?"
)
_REMOTE = re.compile(r"[a-z0-9]+://")
_NAME = re.compile(r"[a-z][a-z0-9_]*(/[\w.+-]+)?")


class Place(NamedTuple):
    """The parts of a data.path that names a TFDS set.

    Attributes:
      path: folder of a set, of its config or of its version; "" if a name is given instead.
      name: NAME or NAME/CONFIG; "" if a folder is given instead.
      version: version such as "3.0.2"; None is the newest prepared version.
      split: split in the syntax of TFDS, such as "train" or "train[:90%]+test".
      image: name of the feature with the image; None is the only one.
      label: name of the feature with the label; None is "label", or the only class.
    """

    path: str
    name: str
    version: str | None
    split: str
    image: str | None
    label: str | None


def parse(text: str) -> Place:
    """Parses data.path.

    Raises:
      FieldError: if the syntax is wrong.
    """
    remote = _REMOTE.match(text)
    scheme = remote[0] if remote else ""
    if scheme and scheme.removesuffix("://") not in SCHEMES:
        allowed = ", ".join(f"{name}://" for name in SCHEMES)
        raise FieldError("config.data.path", text, f"as an address, one that starts with {allowed}; {SYNTAX}")
    found = _PARTS.fullmatch(text[len(scheme) :])
    if found is None:
        raise FieldError("config.data.path", text, SYNTAX)
    place = scheme + found["place"]
    is_path = bool(scheme) or place.startswith(("/", "./", "../", "~"))
    if not is_path and not _NAME.fullmatch(place):
        raise path_error(text, f"where {place!r} is not the name of a TFDS set", SYNTAX)
    keys = _keys(found["keys"] or "", text)
    return Place(
        path=os.path.expanduser(place).rstrip("/") if is_path else "",
        name="" if is_path else place,
        version=found["version"],
        split=found["split"] or DEFAULT_SPLIT,
        image=keys.get("image"),
        label=keys.get("label"),
    )


def locate(place: Place) -> epath.Path:
    """Returns the folder of the prepared set, with its config and version.

    Raises:
      FileNotFoundError: if there is none; the message has the command that prepares the set.
      FieldError: if the choice is ambiguous, or the folder cannot be listed.
    """
    data_dir = default_data_dir()
    root = epath.Path(place.path or os.path.join(data_dir, place.name))
    try:
        versions = [folder for folder in _prepared(root) if place.version in (None, folder.name)]
    except Exception as error:  # Clients of buckets raise anything.
        raise path_error(root, f"which cannot be listed ({error})", "a readable folder") from error
    if not versions:
        raise FileNotFoundError(_missing(place, root, data_dir))
    configs = sorted({os.fspath(folder.parent) for folder in versions})
    if len(configs) > 1:
        names = ", ".join(os.path.basename(config) for config in configs)
        raise path_error(root, "which holds several configs", f"one of them ({names}), as NAME/CONFIG")
    return max(versions, key=_version_numbers)


def default_data_dir() -> str:
    """Returns the default folder of prepared TFDS sets."""
    return os.environ.get("TFDS_DATA_DIR") or os.path.expanduser("~/tensorflow_datasets")


def preparation(name: str, data_dir: str, *, version: str | None = None) -> str:
    """Returns the command that prepares a set of the TFDS catalog in a form that flaxgan can read."""
    full_name = f"{name}:{version}" if version else name
    return (
        'python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{full_name}', data_dir='{data_dir}', file_format='array_record').download_and_prepare()\" "
        "(the sets of the TFDS catalog need TensorFlow for this, once, in any environment; see README, TFDS)"
    )


def _missing(place: Place, root: epath.Path, data_dir: str) -> str:
    what = "".join([place.name or os.fspath(root), f", version {place.version}" if place.version else ""])
    name = place.name
    if place.path:
        # DATA_DIR/NAME or DATA_DIR/NAME/VERSION, as TFDS lays sets out.
        folder = root.parent if _VERSION.fullmatch(root.name) else root
        name, data_dir = folder.name, os.fspath(folder.parent)
    if not _NAME.fullmatch(name):
        return str(path_error(what, "which is not a prepared TFDS set", SYNTAX))
    command = preparation(name, data_dir, version=place.version)
    return str(
        path_error(
            what,
            f"which is not prepared in {data_dir}",
            f"a prepared set. A set of the TFDS catalog is prepared with: {command}",
        )
    )


def _prepared(root: epath.Path) -> list[epath.Path]:
    """Returns the folders of prepared versions: the root itself, or [CONFIG/]VERSION below it."""
    if (root / _INFO_NAME).exists():
        return [root]
    found = [folder for folder in _folders(root) if _is_version(folder)]
    for config in _folders(root):
        found += [folder for folder in _folders(config) if not _VERSION.fullmatch(config.name) and _is_version(folder)]
    return found


def _folders(root: epath.Path) -> list[epath.Path]:
    if not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if folder.is_dir())


def _is_version(folder: epath.Path) -> bool:
    return bool(_VERSION.fullmatch(folder.name)) and (folder / _INFO_NAME).exists()


def _version_numbers(folder: epath.Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _keys(text: str, path: str) -> dict[str, str]:
    keys = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        if name not in ("image", "label") or not value:
            raise path_error(path, f"which has {part!r} after the '?'", "image=KEY, label=KEY")
        keys[name] = value
    return keys
