"""Converts any source into a ZIP archive or an array_record set, resumably: DEST.partial holds the work in progress."""

import contextlib
import errno
import io
import json
import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np

from flaxgan.data import labels, manifest, verification, workplace
from flaxgan.data.encoding import encoded_images
from flaxgan.data.journal import Journal, Row
from flaxgan.data.manifest import Manifest
from flaxgan.data.record_writer import RecordSetWriter
from flaxgan.data.source import Source
from flaxgan.data.sources import array_record
from flaxgan.data.workplace import Plan
from flaxgan.data.zip_writer import ZipWriter

WRITERS = {"zip": ZipWriter, "array_record": RecordSetWriter}
"""What writes each form of a set."""

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
    """Writes a set, or goes on writing it where a killed process has stopped.

    The result is the same, byte for byte, for any number of workers and of interruptions.

    Args:
      source: the images; where it skips those that cannot be used, they are left out and listed in the manifest.
      dest: the archive or folder to make; it appears when it is whole.
      plan: how the set is made, which must be that of the work in progress.
      workers: threads that read and encode.
      progress: called with the row of each image, in order, and whether this process has made it.
      restart: drops work in progress.

    Returns:
      The manifest of the set.

    Raises:
      ValueError: if the destination exists, another process writes it, or the work in progress is of another plan; at
        an image that cannot be used, where the source does not skip those.
      OSError: if it cannot be written.
    """
    if os.path.lexists(dest):  # a broken link, too
        raise ValueError(f"{dest}: exists; allowed: a path where nothing is")
    try:
        with workplace.claim(dest, plan, restart=restart) as folder:
            result = _write(source, dest, plan, folder, workers, progress)
            shutil.rmtree(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(f"{dest}: the disk is full; with more space, the same command goes on from here") from error
        raise
    return result


def is_made(dest: pathlib.Path, source: Source, plan: Plan) -> bool:
    """Whether the destination is what `convert` would make, as far as its manifest says."""
    if not dest.exists() or dest.is_dir() != (plan.form == "array_record"):
        return False
    try:
        found = verification.read_manifest(dest)
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
        writer = stack.enter_context(contextlib.closing(WRITERS[plan.form](folder, journal.rows)))
        for row in journal.rows:
            if row.skipped is not None and source.skipped is None:
                raise ValueError(row.skipped)
            progress(row, False)
        _write_images(source, writer, journal, workers, progress)
        result = _manifest(source, plan, journal.rows, writer)
        writer.finish(_side_files(source, journal.rows, result, plan.form))
    os.replace(writer.path, dest)
    return result


def _write_images(
    source: Source, writer: ZipWriter | RecordSetWriter, journal: Journal, workers: int, progress: Progress
) -> None:
    pending = []
    with contextlib.closing(encoded_images(source, len(journal.rows), workers)) as encoded:
        for row, image in encoded:
            pending.append(row)
            label = manifest.json_label(source.labels, row.index)
            if row.skipped is None and writer.add(row, image, label):
                writer.commit()  # The images first: the journal says only what is on the disk.
                journal.append(pending)
                pending = []
            progress(row, True)
    writer.commit()
    journal.append(pending)


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
        # Names, without the folders above the source, which are nobody's business.
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
    """The files beside the images: labels and manifest."""
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
