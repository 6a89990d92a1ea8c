"""Resumable conversion of any source to a ZIP archive or an array_record set; DEST.partial holds work in progress."""

import contextlib
import errno
import io
import json
import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np

from flaxgan.data.conversion import verify, work_dir
from flaxgan.data.conversion.array_record_writer import RecordSetWriter
from flaxgan.data.conversion.encode import encoded_images, first_usable
from flaxgan.data.conversion.journal import Journal, Row
from flaxgan.data.conversion.work_dir import Plan
from flaxgan.data.conversion.zip_writer import ZipWriter
from flaxgan.data.formats import labels, manifest
from flaxgan.data.formats.manifest import Manifest
from flaxgan.data.source import Source
from flaxgan.data.sources import array_record

WRITERS = {"zip": ZipWriter, "array_record": RecordSetWriter}
"""The writer of each format of a set."""

MAX_LISTED = 100
"""Number of unusable images at which a conversion without skipping stops; it lists each of them."""

_DUE_BYTES = 1 << 26
_DUE_IMAGES = 512

Progress = Callable[[Row, bool], None]


def convert(
    source: Source,
    dest: pathlib.Path,
    plan: Plan,
    *,
    workers: int,
    progress: Progress = lambda row, is_new: None,
    restart: bool = False,
) -> Manifest:
    """Writes a set, or resumes where a killed process stopped.

    The result is byte-identical for any number of workers and any number of interruptions.

    Args:
      source: the images. If the source skips images that cannot be used, they are left out and listed in the manifest.
        Otherwise such an image fails the conversion; the other images are still converted, and kept for the next try.
      dest: the archive or folder to make; it appears when it is complete.
      plan: the plan of the conversion, which must be that of the work in progress.
      workers: number of threads that read and encode.
      progress: called with the row of each image, in order, and whether this process has converted the image.
      restart: whether to discard work in progress.

    Returns:
      The manifest of the set.

    Raises:
      ValueError: if the destination exists, another process is writing it, or the work in progress has another plan; if
        images cannot be used and are not skipped, after the last image or the hundredth unusable image.
      OSError: if the set cannot be written.
    """
    if os.path.lexists(dest):  # True for a broken link, too.
        raise ValueError(f"{dest}: exists; allowed: a path where nothing is")
    try:
        with work_dir.claim(dest, plan, restart=restart) as folder:
            result = _write(source, dest, plan, folder, workers, progress)
            shutil.rmtree(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(f"{dest}: the disk is full; with more space, the same command resumes") from error
        raise
    return result


def is_made(dest: pathlib.Path, source: Source, plan: Plan) -> bool:
    """Returns whether the manifest of the destination is that of the set that `convert` would make."""
    if not dest.exists() or dest.is_dir() != (plan.form == "array_record"):
        return False
    try:
        found = verify.read_manifest(dest)
    except ValueError:
        return False
    wanted = (plan.images, plan.shape, _label_kind(source), source.class_names, plan.crop, plan.resize)
    has = (found.count + len(found.skipped), found.shape, found.labels, found.class_names, found.crop, found.resize)
    return has == wanted and (found.source, found.made_by) == (plan.origin, plan.made_by)


def _write(
    source: Source, dest: pathlib.Path, plan: Plan, folder: pathlib.Path, workers: int, progress: Progress
) -> Manifest:
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(contextlib.closing(Journal(folder / "journal.jsonl")))
        _drop_repaired(source, journal, workers)
        writer = stack.enter_context(contextlib.closing(WRITERS[plan.form](folder, journal.rows)))
        for row in journal.rows:
            progress(row, False)
        _write_images(source, writer, journal, workers, progress)
        unusable = [row.skipped for row in journal.rows if row.skipped is not None]
        if unusable and source.skipped is None:
            raise ValueError(_refusal(unusable, len(journal.rows), len(source)))
        writer.settle(is_last=True)
        result = _manifest(source, plan, journal.rows, writer)
        writer.finish(_side_files(source, journal.rows, result, plan.form))
    os.replace(writer.path, dest)
    return result


def _drop_repaired(source: Source, journal: Journal, workers: int) -> None:
    """Drops all images from the first repaired one on: a repaired image changes the rest of the set."""
    first = first_usable(source, (row.index for row in journal.rows if row.skipped is not None), workers)
    if first is not None:
        journal.cut(first)


def _write_images(
    source: Source, writer: ZipWriter | RecordSetWriter, journal: Journal, workers: int, progress: Progress
) -> None:
    pending: list[Row] = []
    num_unusable = sum(row.skipped is not None for row in journal.rows)
    with contextlib.closing(encoded_images(source, len(journal.rows), workers)) as encoded:
        for row, image in encoded:
            if source.skipped is None and num_unusable >= MAX_LISTED:
                break
            if row.skipped is None:
                writer.add(row, image, manifest.json_label(source.labels, row.index))
            num_unusable += row.skipped is not None
            pending.append(row)
            if len(pending) >= _DUE_IMAGES or sum(new.num_bytes for new in pending) >= _DUE_BYTES:
                _commit(writer, journal, pending)
                pending = []
            progress(row, True)
    _commit(writer, journal, pending)


def _commit(writer: ZipWriter | RecordSetWriter, journal: Journal, rows: list[Row]) -> None:
    writer.commit()  # Images come first: the journal lists only images that are on the disk.
    journal.append(rows)
    writer.settle()


def _refusal(unusable: list[str], num_read: int, count: int) -> str:
    images = f"{count:,} images" if num_read == count else f"the first {num_read:,} images (there are {count:,})"
    found = f"{len(unusable):,} of {images} cannot be used; the first: {unusable[0]}"
    return f"{found}. Repair them, or leave them out with --on-error skip; the same command then resumes"


def _manifest(source: Source, plan: Plan, rows: list[Row], writer: ZipWriter | RecordSetWriter) -> Manifest:
    kept = [row for row in rows if row.skipped is None]
    if not kept:
        raise ValueError(f"{plan.path}: no image can be used; the first: {rows[0].skipped}")
    content = ((row.name, manifest.json_label(source.labels, row.index), row.sha256) for row in kept)
    return Manifest(
        count=len(kept),
        shape=plan.shape,
        labels=_label_kind(source),
        class_names=source.class_names,
        crop=plan.crop,
        resize=plan.resize,
        source=plan.origin,
        # Without the folders above the source, which are private.
        skipped=tuple(row.skipped.replace(plan.parent, "") for row in rows if row.skipped is not None),
        made_by=plan.made_by,
        sha256=manifest.content_digest(content),
        shards=writer.shards(),
    )


def _label_kind(source: Source) -> str:
    if source.labels is None:
        return "none"
    return "classes" if source.labels.ndim == 1 else "vectors"


def _side_files(source: Source, rows: list[Row], result: Manifest, form: str) -> dict[str, bytes]:
    """Returns the other files of the set: labels and manifest."""
    kept = [row for row in rows if row.skipped is None]
    files = {}
    if form == "zip":
        pairs = [[row.name, manifest.json_label(source.labels, row.index)] for row in kept]
        content = {"labels": None if source.labels is None else pairs}
        files[labels.FILE_NAME] = json.dumps(content).encode()
    elif source.labels is not None:
        file = io.BytesIO()
        np.save(file, source.labels[[row.index for row in kept]])
        files[array_record.LABELS_NAME] = file.getvalue()
    return files | {manifest.FILE_NAME: result.to_json()}
