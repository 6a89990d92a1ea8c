"""Converts any images into a ZIP archive (in the StyleGAN layout) or an array_record set, in the size to train at.

Killed in the middle, the same command goes on where it was; the result is the same, byte for byte, for any number of
interruptions and of workers. It appears under its name when it is whole. A manifest in it says how many images of which
shape it holds, how they were cropped and resized (on which FID depends), which images could not be used and why, and a
checksum, which --check compares.
"""

import argparse
import contextlib
import dataclasses
import logging
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Iterator

from etils import epath

from flaxgan.cli._data_flags import with_flags
from flaxgan.cli._progress_line import ProgressLine
from flaxgan.data import open_source
from flaxgan.data.conversion.journal import Row
from flaxgan.data.formats import manifest
from flaxgan.data.formats.labels import WrongKindError
from flaxgan.data.source import Source

_OWN_IMAGES = ("digits", "synthetic")  # sources that need no path and make images of any size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `flaxgan dataset`."""
    parser.add_argument("src", metavar="SRC", nargs="?", help="a folder, a ZIP archive, an array_record set, `digits`")
    parser.add_argument("dest", metavar="DEST", nargs="?", help="what to make: NAME.zip, or a folder for array_record")
    parser.add_argument("--check", metavar="DEST", help="read a set made by this command, and compare its checksum")
    parser.add_argument("--source", metavar="KIND", help="kind of SRC, as data.source; tfds reads a prepared TFDS set")
    parser.add_argument("--resolution", type=_resolution, metavar="HxW", help="pixels, R or HxW; default: SRC's")
    parser.add_argument("--channels", type=int, choices=(1, 3, 4), help="1 grey, 3 RGB, 4 RGBA; default: SRC's own")
    parser.add_argument("--crop", choices=("none", "center"), default="none", help="as data.crop; default: none")
    parser.add_argument("--resize", choices=("none", "lanczos", "box"), help="default: lanczos with --resolution")
    labels = ("auto", "classes", "vectors", "none")
    parser.add_argument("--labels", choices=labels, default="auto", help="default: those that SRC has")
    parser.add_argument("--format", choices=("zip", "array_record"), help="default: zip where DEST ends in .zip")
    on_error = "images that cannot be used: name them all and make nothing (default), or name them and leave them out"
    parser.add_argument("--on-error", choices=("raise", "skip"), default="raise", help=on_error)
    parser.add_argument("--workers", type=int, help="threads that read and encode; default: one for each core")
    parser.add_argument("--restart", action="store_true", help="begin anew instead of going on")


def run(arguments: argparse.Namespace) -> None:
    """Makes or checks a set.

    Raises:
      ValueError: on a mistake in the arguments, an image that cannot be used, or a set that fails its check.
      OSError: if something is missing or cannot be written.
    """
    if arguments.check is not None:
        _check(arguments)
    elif arguments.src is None or arguments.dest is None:
        raise ValueError("SRC and DEST: one is missing; allowed: both, or --check DEST alone")
    else:
        with _naming_flags():
            _make(arguments)


@contextlib.contextmanager
def _naming_flags() -> Iterator[None]:
    """Messages of mistakes name flags, where those of other programs name fields of a recipe."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        error.args = tuple(with_flags(value) if isinstance(value, str) else value for value in error.args)
        raise


def _make(arguments: argparse.Namespace) -> None:
    from flaxgan.data.conversion import (
        convert_dataset,
        work_dir,  # bring Pillow, which --help can do without
    )

    form = _form(arguments.dest, arguments.format)
    workers = _workers(arguments.workers)
    kind = arguments.source or _kind(arguments.src)
    resize = arguments.resize or ("lanczos" if arguments.resolution and kind not in _OWN_IMAGES else "none")
    source = _open(arguments, kind, resize)
    path = "" if kind in _OWN_IMAGES else arguments.src
    plan = work_dir.plan(source, form=form, kind=kind, path=path, crop=arguments.crop, resize=resize)
    dest = pathlib.Path(os.path.abspath(os.path.expanduser(arguments.dest)))
    if convert_dataset.is_made(dest, source, plan):
        shutil.rmtree(work_dir.folder_of(dest), ignore_errors=True)
        print(f"{arguments.dest}: is there already, made like this; nothing to do")
        return
    print(source.description)
    for note in source.notes:
        print(with_flags(note), file=sys.stderr)
    skips = source.skipped is not None
    line = ProgressLine(len(source), unusable="skipped" if skips else "cannot be used", names_all=not skips)

    def progress(row: Row, is_new: bool) -> None:
        line.converted(dataclasses.replace(row, skipped=row.skipped and with_flags(row.skipped)), is_new)

    try:
        made = convert_dataset.convert(
            source, dest, plan, workers=workers, progress=progress, restart=arguments.restart
        )
    except KeyboardInterrupt:
        raise ValueError("stopped; the same command goes on from here") from None
    finally:
        line.close()
    print(f"{arguments.dest}: {_summary(made)}")


def _check(arguments: argparse.Namespace) -> None:
    from flaxgan.data.conversion import verify

    path = pathlib.Path(os.path.expanduser(arguments.check))
    if arguments.src is not None:
        raise ValueError(f"SRC: found {arguments.src!r} beside --check; allowed: --check DEST alone")
    found = verify.read_manifest(path)
    line = ProgressLine(found.count)
    try:
        problems = verify.verify(path, line.checked)
    finally:
        line.close()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
        raise ValueError(f"{arguments.check}: {count}, named above")
    print(f"{arguments.check}: is whole: {_summary(found)}")


def _summary(made: "manifest.Manifest") -> str:
    height, width, channels = made.shape
    labels = f"{len(made.class_names):,} classes" if made.labels == "classes" else "no labels"
    if made.labels == "vectors":
        labels = f"labels of {len(made.class_names):,} numbers"
    skipped = f", {len(made.skipped):,} skipped (named in {manifest.FILE_NAME})" if made.skipped else ""
    return f"{made.count:,} images of {height}x{width}x{channels}, {labels}{skipped}, sha256 {made.sha256}"


def _open(arguments: argparse.Namespace, kind: str, resize: str) -> Source:
    """The source, whose images are all of one kind; those that cannot be used are found when they are converted."""
    from flaxgan.data.formats.image_files import DecodedFiles, check_one_size

    log = logging.getLogger("flaxgan.data.skipped")
    log.disabled, was_disabled = True, log.disabled  # The conversion names each itself.
    try:
        source = _opened(arguments, kind, resize)
    finally:
        log.disabled = was_disabled
    if arguments.resolution is None and isinstance(source.images, DecodedFiles):
        check_one_size(source.images)  # What is of another size than the first image is not damaged.
    return source if arguments.on_error == "skip" else dataclasses.replace(source, skipped=None)


def _opened(arguments: argparse.Namespace, kind: str, resize: str) -> Source:
    """The source, with the labels that it has unless they are named."""
    path = "" if kind in _OWN_IMAGES else arguments.src
    problem = None
    for labels in ("classes", "vectors") if arguments.labels == "auto" else (arguments.labels,):
        try:
            return open_source(
                kind,
                path,
                resolution=arguments.resolution,
                channels=arguments.channels,
                num_classes=0 if labels == "none" else None,
                crop=arguments.crop,
                resize=resize,
                labels="classes" if labels == "none" else labels,
                on_error="skip",
            )
        except WrongKindError as error:
            problem = problem or error
    raise problem


def _kind(src: str) -> str:
    if "://" in src:
        return _remote_kind(src)
    path = pathlib.Path(os.path.expanduser(src))
    if path.is_dir():
        place = path / manifest.FILE_NAME
        is_made = place.is_file() and manifest.is_manifest(place.read_bytes())
        return "array_record" if is_made or any(path.glob("*.array_record")) else "folder"
    if path.exists():
        return "zip"
    if src in _OWN_IMAGES:
        return src
    raise FileNotFoundError(
        f"SRC: {src!r} does not exist; allowed: a folder, a ZIP archive, an array_record set, the address of one "
        f"(gs://...), {', '.join(_OWN_IMAGES)}, or the name of a prepared TFDS set with --source tfds"
    )


def _remote_kind(src: str) -> str:
    if src.lower().endswith(".zip"):
        return "zip"
    try:
        return "array_record" if (epath.Path(src) / manifest.FILE_NAME).exists() else "folder"
    except Exception:  # Whatever keeps it from being read is named where it is opened.
        return "folder"


def _form(dest: str, form: str | None) -> str:
    if "://" in dest:
        raise ValueError(f"DEST: found {dest!r}; allowed: a local path; copy the set when it is made")
    is_archive = dest.endswith(".zip")
    if form is None and not is_archive:
        raise ValueError(f"DEST: found {dest!r}; allowed: a name that ends in .zip, or --format array_record")
    if form is not None and is_archive != (form == "zip"):
        raise ValueError(f"DEST: found {dest!r} with --format {form}; allowed: .zip for zip, and for zip alone")
    return form or "zip"


def _workers(workers: int | None) -> int:
    if workers is None:
        return os.cpu_count() or 1
    if workers < 1:
        raise ValueError(f"--workers: found {workers}, allowed: at least 1")
    return workers


def _resolution(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, allowed: pixels as R or HxW, such as 256 or 64x96")
    return int(found[1]), int(found[2] or found[1])
