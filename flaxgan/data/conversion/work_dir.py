"""The folder of a conversion's work in progress: DEST.partial, for one process at a time and one plan."""

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
from collections.abc import Iterator

import PIL
from PIL import features

from flaxgan.data.conversion import verify
from flaxgan.data.formats.image_files import DecodedFiles
from flaxgan.data.source import Source

_PLAN_NAME = "plan.json"
_LOCK_NAME = "lock"


@dataclasses.dataclass(frozen=True)
class Plan:
    """All inputs, besides the files of the source, that determine the bytes of a converted set.

    Attributes:
      form: "zip" or "array_record".
      kind: kind of the source, a module of `flaxgan.data.sources`.
      path: path of the source; empty for a source that brings its own images.
      origin: kind and name of the source; for a set that was converted before, also its own origin, crop and filter.
      images: number of images in the source.
      content: checksum of the file names and labels of the source.
      shape: (H, W, C) of each image.
      crop: see `flaxgan.data.decoding.transform.Transform`.
      resize: see `flaxgan.data.decoding.transform.Transform`.
      made_by: programs that encode the images, with their versions.
    """

    form: str
    kind: str
    path: str
    origin: str
    images: int
    content: str
    shape: tuple[int, int, int]
    crop: str
    resize: str
    made_by: str

    @property
    def parent(self) -> str:
        """The folders above the source, with a trailing slash; they are left out of stored messages."""
        return f"{os.path.dirname(self.path)}/"


def plan(source: Source, *, form: str, kind: str, path: str, crop: str, resize: str) -> Plan:
    """Returns the plan that converts an opened source; see `Plan`."""
    names = source.images.files.names if isinstance(source.images, DecodedFiles) else ()
    place = os.path.expanduser(path).rstrip("/")
    content = hashlib.sha256(json.dumps([names, source.class_names]).encode())
    content.update(b"" if source.labels is None else source.labels.tobytes())
    return Plan(
        form=form,
        kind=kind,
        path=os.path.abspath(place) if os.path.exists(place) else path,
        origin=f"{kind} {os.path.basename(place)}{_history(kind, place)}".strip(),
        images=len(source),
        content=content.hexdigest(),
        shape=source.image_shape,
        crop=crop,
        resize=resize,
        made_by=_made_by(),
    )


def _history(kind: str, path: str) -> str:
    """Describes the origin of a set that was converted before: its images are resized twice."""
    if kind not in ("zip", "array_record") or not os.path.exists(path):
        return ""
    try:
        found = verify.read_manifest(pathlib.Path(path))
    except ValueError:  # An archive that flaxgan did not make.
        return ""
    return " (of {}, {}x{}x{}, crop {}, resize {})".format(found.source, *found.shape, found.crop, found.resize)


def _made_by() -> str:
    zlib = "zlib_ng" if features.check("zlib_ng") else "zlib"
    version = importlib.metadata.version("flaxgan")
    return f"flaxgan {version}, Pillow {PIL.__version__}, {zlib} {features.version(zlib)}"


def folder_of(dest: pathlib.Path) -> pathlib.Path:
    """Returns the folder of the work in progress."""
    return dest.with_name(f"{dest.name}.partial")


@contextlib.contextmanager
def claim(dest: pathlib.Path, wanted: Plan, *, restart: bool) -> Iterator[pathlib.Path]:
    """Locks the folder of the work in progress for this process.

    Args:
      dest: path of the set.
      wanted: plan of the conversion.
      restart: whether to empty the folder first.

    Yields:
      The folder.

    Raises:
      ValueError: if another process holds the folder, or its work has another plan; the message names the difference.
    """
    folder = folder_of(dest)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / _LOCK_NAME, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"{dest}: another process is writing it; allowed: one at a time") from error
        if restart:
            _empty(folder)
        _check_plan(folder, wanted)
        yield folder


def _empty(folder: pathlib.Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK_NAME:
            path.unlink()


def _check_plan(folder: pathlib.Path, wanted: Plan) -> None:
    path = folder / _PLAN_NAME
    new = json.loads(json.dumps(dataclasses.asdict(wanted)))
    if not path.exists():
        partial = folder / f"{_PLAN_NAME}.new"
        partial.write_text(json.dumps(new, indent=1))
        os.replace(partial, path)
        return
    advice = "repeat the command that started it, or start again with --restart"
    try:
        old = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: is damaged; {advice}") from error
    if isinstance(old, dict) and old | {"content": ""} == new | {"content": ""} and old != new:
        raise ValueError(f"{folder}: was started with other files or labels; {advice}")
    differing = [name for name in new if not isinstance(old, dict) or old.get(name) != new[name]]
    if differing:
        name = differing[0]
        found = old.get(name) if isinstance(old, dict) else old
        raise ValueError(f"{folder}: was started with {name} {found!r}, and this command has {new[name]!r}; {advice}")
