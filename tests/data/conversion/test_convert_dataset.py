import dataclasses
import errno
import fcntl
import functools
import json
import os
import signal
import zipfile

import converted_sets
import numpy as np
import pytest
from converted_sets import content, convert, reopened

from flaxgan.data import open_source
from flaxgan.data.conversion import convert_dataset, verify, work_dir, zip_writer
from flaxgan.data.conversion.array_record_writer import RecordSetWriter
from flaxgan.data.errors import ImageError
from flaxgan.data.skipped import Skipped

FORMS = ("zip", "array_record")

# A dozen commits, of ZIP archives and of array_record sets.
PROGRAM = """
import functools, pathlib, sys
sys.path.insert(0, "tests")
import converted_sets
from flaxgan.data.conversion import convert_dataset
from flaxgan.data.conversion.array_record_writer import RecordSetWriter
convert_dataset._DUE_IMAGES = 16
convert_dataset.WRITERS["array_record"] = functools.partial(RecordSetWriter, shard_bytes=4000)
converted_sets.convert(converted_sets.noise(100), pathlib.Path("{dest}"), "{form}")
"""


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.fixture(autouse=True)
def small_commits(monkeypatch):
    monkeypatch.setattr(convert_dataset, "_DUE_IMAGES", 16)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow where other programs write much
    monkeypatch.setitem(convert_dataset.WRITERS, "array_record", functools.partial(RecordSetWriter, shard_bytes=4000))


@pytest.fixture(scope="module")
def noise():
    return converted_sets.noise(100)


@pytest.fixture
def write_folder(tmp_path, make_images):
    """A function (labels, damaged=(), **shape) -> (folder, pixels): eight images in a folder."""

    def write(labels=None, damaged=(), **shape):
        contents, pixels = make_images(8, **shape)
        folder = tmp_path / "photos"
        folder.mkdir()
        for index, (name, data) in enumerate(contents.items()):
            (folder / name).write_bytes(data[:40] if index in damaged else data)
        if labels is not None:
            pairs = list(zip(contents, labels, strict=True))
            (folder / "dataset.json").write_text(json.dumps({"labels": pairs}))
        return folder, pixels

    return write


def assert_same(source, expected):
    np.testing.assert_array_equal(source.labels, expected.labels)
    assert (source.num_classes, source.class_names) == (expected.num_classes, expected.class_names)
    for index in range(len(expected)):
        np.testing.assert_array_equal(source.images[index], expected.images[index])
    assert len(source) == len(expected) and source.image_shape == expected.image_shape


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_set_is_its_source(tmp_path, form, write_folder, channels):
    folder, _ = write_folder([3, 0, 1, 0, 2, 2, 1, 3], channels=channels, height=8, width=12)
    source = open_source("folder", folder)
    dest = tmp_path / "set"
    made = convert(source, dest, form)
    assert_same(reopened(dest), source)
    assert (made.count, made.shape, made.labels, made.skipped) == (8, (8, 12, channels), "classes", ())
    assert verify.verify(dest) == [] and not work_dir.folder_of(dest).exists()


def test_label_vectors_are_kept(tmp_path, form, write_folder):
    vectors = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
    folder, _ = write_folder(vectors.tolist())
    source = open_source("folder", folder, labels="vectors")
    assert convert(source, tmp_path / "set", form).labels == "vectors"
    found = reopened(tmp_path / "set", labels="vectors")
    np.testing.assert_array_equal(found.labels, vectors)
    assert found.labels.dtype == np.float32
    with pytest.raises(ValueError, match=r"config\.data\.labels: found 'classes', allowed: 'vectors'"):
        reopened(tmp_path / "set")


def test_set_without_labels(tmp_path, form, write_folder):
    folder, _ = write_folder()
    convert(open_source("folder", folder), tmp_path / "set", form)
    assert reopened(tmp_path / "set").labels is None


def test_class_names_are_kept_where_the_last_classes_have_no_images(tmp_path, form, write_folder):
    folder, _ = write_folder([0, 1, 0, 1, 0, 1, 0, 1])
    source = open_source("folder", folder)
    names = ("cat", "dog", "bird")
    convert(dataclasses.replace(source, num_classes=3, class_names=names), tmp_path / "set", form)
    found = reopened(tmp_path / "set")
    assert found.class_names == names and found.num_classes == 3


def test_images_are_transformed_and_the_manifest_says_how(tmp_path, form, write_folder):
    folder, _ = write_folder(height=12, width=16)
    wanted = {"crop": "center", "resize": "box"}
    source = open_source("folder", folder, resolution=4, channels=1, **wanted)
    made = convert(source, tmp_path / "set", form, changes={"kind": "folder", "path": str(folder), **wanted})
    assert (made.crop, made.resize, made.source, made.shape) == ("center", "box", "folder photos", (4, 4, 1))
    assert_same(reopened(tmp_path / "set"), source)
    # Converted once more: what was done before is still known.
    changes = {"kind": form, "path": str(tmp_path / "set")}
    again = convert(reopened(tmp_path / "set"), tmp_path / "again", form, changes=changes)
    assert again.source == f"{form} set (of folder photos, 4x4x1, crop center, resize box)"
    assert again.sha256 == made.sha256


def test_workers_change_nothing(tmp_path, form, noise):
    for workers in (1, 4):
        convert(noise, tmp_path / f"set{workers}", form, workers=workers)
    assert content(tmp_path / "set1") == content(tmp_path / "set4")
    if form == "array_record":
        assert len(verify.read_manifest(tmp_path / "set1").shards) > 3


def test_both_forms_have_the_same_checksum(tmp_path, noise):
    first, second = (convert(noise, tmp_path / form, form) for form in FORMS)
    assert first.sha256 == second.sha256
    assert first.count == second.count == len(noise)


def test_archive_is_one_that_other_programs_read(tmp_path, noise):
    convert(noise, tmp_path / "set.zip", "zip")
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        labels = json.loads(archive.read("dataset.json"))["labels"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert names[0] == "00000/img00000000.png" and names[99] == "00000/img00000099.png"
    assert labels == [[name, int(label)] for name, label in zip(names, noise.labels)]


def test_killed_at_any_step_it_goes_on_and_ends_the_same(tmp_path, form, noise):
    dest = tmp_path / "killed"
    kept = []
    for n in (3, 6, 5):  # each goes on from what the one before it has left
        assert converted_sets.run_until_killed(PROGRAM.format(dest=dest, form=form), n) == -signal.SIGKILL
        kept.append((work_dir.folder_of(dest) / "journal.jsonl").read_bytes().count(b"\n"))
        assert not dest.exists()
    assert 0 < kept[0] < kept[1] < kept[2] < 100
    made = []
    convert(noise, dest, form, progress=lambda row, is_new: made.append(is_new))
    assert made == [False] * kept[2] + [True] * (100 - kept[2])
    convert(noise, tmp_path / "whole", form)
    assert content(dest) == content(tmp_path / "whole")


def test_killed_inside_a_file_of_records_it_goes_on_inside(tmp_path, noise, monkeypatch):
    monkeypatch.setitem(convert_dataset.WRITERS, "array_record", RecordSetWriter)  # all images in one file
    with pytest.raises(KeyboardInterrupt):
        convert(noise, tmp_path / "set", "array_record", progress=interrupted_after(90))
    made = []
    convert(noise, tmp_path / "set", "array_record", progress=lambda row, is_new: made.append(is_new))
    assert made == [False] * 80 + [True] * 20
    convert(noise, tmp_path / "whole", "array_record")
    assert content(tmp_path / "set") == content(tmp_path / "whole")
    assert len(verify.read_manifest(tmp_path / "set").shards) == 1


def test_killed_when_all_is_written_it_only_gives_the_set_its_name(tmp_path, form, noise, monkeypatch):
    convert(noise, tmp_path / "whole", form)

    with monkeypatch.context() as patched:
        patched.setattr(convert_dataset, "_side_files", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(noise, tmp_path / "set", form)
    rows = []
    convert(noise, tmp_path / "set", form, progress=lambda row, is_new: rows.append(is_new))
    assert not any(rows) and len(rows) == len(noise)
    assert content(tmp_path / "set") == content(tmp_path / "whole")


def test_half_a_line_and_bytes_behind_the_last_commit_are_dropped(tmp_path, form, noise):
    convert(noise, tmp_path / "whole", form)
    with pytest.raises(KeyboardInterrupt):
        convert(noise, tmp_path / "set", form, progress=interrupted_after(90))
    folder = work_dir.folder_of(tmp_path / "set")
    with (folder / "journal.jsonl").open("ab") as journal:
        journal.write(b'[96, "00000/img000')
    if form == "zip":
        with (folder / "set").open("ab") as archive:
            archive.write(b"PK\x03\x04 half an image")
    convert(noise, tmp_path / "set", form)
    assert content(tmp_path / "set") == content(tmp_path / "whole")


def interrupted(*unused):
    raise KeyboardInterrupt


def interrupted_after(count: int):
    def progress(row, is_new):
        if row.index == count:
            raise KeyboardInterrupt

    return progress


def raising(folder):
    """Images of 8x8 pixels; those that cannot be used stop a conversion."""
    return dataclasses.replace(open_source("folder", folder, on_error="skip", resolution=8), skipped=None)


def test_images_that_cannot_be_used_are_all_named_and_nothing_is_made(tmp_path, form, write_folder):
    folder, _ = write_folder([0, 1] * 4, damaged=(5, 3))
    rows = []
    for made in ([True] * 8, [False] * 8):  # at the second time, all is known
        with pytest.raises(ValueError, match=r"^2 of 8 images cannot be used; the first: .*photos/3\.png: "):
            convert(raising(folder), tmp_path / "set", form, progress=lambda *row: rows.append(row))
        assert [is_new for _, is_new in rows] == made
        assert [row.index for row, _ in rows if row.skipped] == [3, 5]
        rows.clear()
    assert not (tmp_path / "set").exists()
    skipping = open_source("folder", folder, on_error="skip", resolution=8)
    made = convert(skipping, tmp_path / "set", form, progress=lambda *row: rows.append(row))
    assert made.count == 6 and not any(is_new for _, is_new in rows)


def test_many_images_that_cannot_be_used_are_not_all_looked_for(tmp_path, form, write_folder, monkeypatch):
    monkeypatch.setattr(convert_dataset, "MAX_LISTED", 3)
    folder, _ = write_folder(damaged=(1, 3, 4, 6))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^3 of the first 5 images \(there are 8\) cannot be used"):
            convert(raising(folder), tmp_path / "set", form)


@pytest.mark.parametrize("is_made", [False, True])
def test_repaired_images_are_seen_by_the_next_try(tmp_path, form, write_folder, monkeypatch, is_made):
    small = functools.partial(RecordSetWriter, shard_bytes=500)
    monkeypatch.setitem(convert_dataset.WRITERS, "array_record", small)  # two or three images in each file
    folder, _ = write_folder(damaged=(0, 4))
    whole = (folder / "3.png").read_bytes()
    if is_made:  # All files are written when it is killed.
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(convert_dataset, "_side_files", interrupted)
            convert(open_source("folder", folder, on_error="skip", resolution=8), tmp_path / "set", form)
    else:
        with pytest.raises(ValueError, match="2 of 8 images"):
            convert(raising(folder), tmp_path / "set", form)
    (folder / "4.png").write_bytes(whole)
    rows = []
    with pytest.raises(ValueError, match="1 of 8 images"):
        convert(raising(folder), tmp_path / "set", form, progress=lambda *row: rows.append(row))
    assert [is_new for _, is_new in rows] == [False] * 4 + [True] * 4
    (folder / "0.png").write_bytes(whole)
    convert(raising(folder), tmp_path / "set", form)
    convert(raising(folder), tmp_path / "other" / "set", form)
    assert content(tmp_path / "set") == content(tmp_path / "other" / "set")


def test_images_that_cannot_be_used_are_left_out_and_named(tmp_path, form, write_folder):
    folder, pixels = write_folder([0, 1, 2, 3, 4, 5, 6, 7], damaged=(0, 5))
    source = open_source("folder", folder, on_error="skip", resolution=8)
    changes = {"kind": "folder", "path": str(folder)}
    made = convert(source, tmp_path / "set", form, changes=changes)
    assert (made.count, len(made.skipped)) == (6, 2)
    assert made.skipped[0].startswith("photos/0.png: ") and made.skipped[1].startswith("photos/5.png: ")
    found = reopened(tmp_path / "set")
    np.testing.assert_array_equal(found.labels, [1, 2, 3, 4, 6, 7])
    np.testing.assert_array_equal(np.stack([found.images[row] for row in range(6)]), pixels[[1, 2, 3, 4, 6, 7]])
    assert convert_dataset.is_made(tmp_path / "set", source, converted_sets.plan_of(source, form, **changes))


class DamagedImages:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        raise ImageError(f"image {index} is damaged")


def test_nothing_but_damaged_images_is_refused(tmp_path, form, noise):
    source = dataclasses.replace(noise, images=DamagedImages(), skipped=Skipped())
    with pytest.raises(ValueError, match="no image can be used; the first: image 0 is damaged"):
        convert(source, tmp_path / "set", form)


def test_work_of_another_plan_is_refused_by_field_unless_it_is_dropped(tmp_path, form, noise):
    with pytest.raises(KeyboardInterrupt):
        convert(noise, tmp_path / "set", form, progress=interrupted_after(50))
    with pytest.raises(ValueError, match=r"set\.partial: was started with resize 'none', and this command has 'box'"):
        convert(noise, tmp_path / "set", form, changes={"resize": "box"})
    other = dataclasses.replace(noise, labels=None, num_classes=0, class_names=())
    with pytest.raises(ValueError, match=r"set\.partial: was started with other files or labels"):
        convert(other, tmp_path / "set", form)
    made = convert(other, tmp_path / "set", form, restart=True)
    assert made.labels == "none" and reopened(tmp_path / "set").labels is None


def test_another_file_in_the_source_is_another_plan(write_folder):
    folder, _ = write_folder()
    plans = [converted_sets.plan_of(open_source("folder", folder), "zip")]
    os.rename(folder / "3.png", folder / "33.png")
    plans.append(converted_sets.plan_of(open_source("folder", folder), "zip"))
    assert plans[0].images == plans[1].images and plans[0].content != plans[1].content


def test_only_one_process_writes_a_set(tmp_path, form, noise):
    folder = work_dir.folder_of(tmp_path / "set")
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process is writing it"):
            convert(noise, tmp_path / "set", form)
    convert(noise, tmp_path / "set", form)


def test_what_exists_is_not_overwritten(tmp_path, form, noise):
    (tmp_path / "set").write_text("precious")
    with pytest.raises(ValueError, match="set: exists"):
        convert(noise, tmp_path / "set", form)
    assert (tmp_path / "set").read_text() == "precious"


def test_full_disk_is_said_and_can_be_gone_on_from(tmp_path, form, noise, monkeypatch):
    writer = {"zip": zip_writer.ZipWriter, "array_record": RecordSetWriter}[form]
    convert(noise, tmp_path / "whole", form)
    commit = writer.commit
    calls = []

    def full(self):
        calls.append(self)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        commit(self)

    with monkeypatch.context() as patched:
        patched.setattr(writer, "commit", full)
        with pytest.raises(OSError, match="set: the disk is full; with more space, the same command resumes"):
            convert(noise, tmp_path / "set", form)
    convert(noise, tmp_path / "set", form)
    assert content(tmp_path / "set") == content(tmp_path / "whole")


def test_work_in_progress_that_has_lost_files_is_refused(tmp_path, form, noise):
    with pytest.raises(KeyboardInterrupt):
        convert(noise, tmp_path / "set", form, progress=interrupted_after(90))
    written = work_dir.folder_of(tmp_path / "set") / "set"
    if form == "zip":
        os.truncate(written, 100)
    else:
        (written / "images-00000.array_record").unlink()
    with pytest.raises(ValueError, match=r"is shorter than it was|is missing; delete"):
        convert(noise, tmp_path / "set", form)
    convert(noise, tmp_path / "set", form, restart=True)
