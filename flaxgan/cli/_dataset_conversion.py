"""Conversion and verification of a dataset: the work of `flaxgan dataset`."""

import argparse
import contextlib
import dataclasses
import logging
import os
import pathlib
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
from flaxgan.errors import FieldError, Words

_OWN_IMAGES = ("digits", "synthetic")  # Sources that need no path and make images of any size.


def run(arguments: argparse.Namespace) -> None:
    """Makes or checks a set.

    Raises:
      ValueError: on a mistake in the arguments, an image that cannot be used, or a set that fails its check.
      OSError: if something is missing or cannot be written.
    """
    if arguments.check is not None:
        _check(arguments)
    elif arguments.src is None or arguments.dest is None:
        raise FieldError("SRC and DEST", Words("one of them"), "both, or --check DEST alone")
    else:
        with _naming_flags():
            _make(arguments)


@contextlib.contextmanager
def _naming_flags() -> Iterator[None]:
    """Makes error messages name flags, where those of other programs name fields of a recipe."""
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
        print(f"{arguments.dest}: exists already, made in the same way; nothing to do")
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
        raise ValueError("stopped; the same command resumes from here") from None
    finally:
        line.close()
    print(f"{arguments.dest}: {_summary(made)}")


def _check(arguments: argparse.Namespace) -> None:
    from flaxgan.data.conversion import verify

    path = pathlib.Path(os.path.expanduser(arguments.check))
    if arguments.src is not None:
        raise FieldError("SRC", Words(f"{arguments.src!r} beside --check"), "--check DEST alone")
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
    """Opens the source, whose images are all of one kind. The conversion finds those that cannot be used."""
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
    """Opens the source, with its own labels unless a kind of labels is given."""
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
    raise problem or FieldError("--labels", arguments.labels, "labels that SRC has")


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
        raise FieldError("DEST", dest, "a local path; copy the set when it is made")
    is_archive = dest.endswith(".zip")
    if form is None and not is_archive:
        raise FieldError("DEST", dest, "a name that ends in .zip, or --format array_record")
    if form is not None and is_archive != (form == "zip"):
        raise FieldError("DEST", Words(f"{dest!r} with --format {form}"), ".zip for zip, and for zip alone")
    return form or "zip"


def _workers(workers: int | None) -> int:
    if workers is None:
        return os.cpu_count() or 1
    if workers < 1:
        raise FieldError("--workers", workers, "at least 1")
    return workers
