"""Buckets: a file system of fsspec stands in for one, as gcsfs or s3fs does where a run reads a real one."""

import concurrent.futures
import io
import json
import pickle
import zipfile

import fsspec
import numpy as np
import pytest
import tiny_runs
from etils import epath
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from flaxgan.data import open_source
from flaxgan.data.errors import ImageError, StorageError
from flaxgan.data.formats import storage


class BucketFile(AbstractBufferedFile):
    """A file of a bucket."""

    def _fetch_range(self, start, end):
        return self.fs.cat_file(self.path, start, end)


class Bucket(AbstractFileSystem):
    """A bucket in memory, which knows how many bytes it has sent."""

    protocol = "s3"
    contents: dict[str, bytes] = {}
    sent: list[int] = []
    broken = False

    def ls(self, path, detail=True, **unused):
        prefix = self._strip_protocol(path).rstrip("/") + "/"
        found = {}
        for name, data in self.contents.items():
            if name == prefix[:-1]:
                found[name] = {"name": name, "size": len(data), "type": "file"}
            elif name.startswith(prefix):
                first, *deeper = name[len(prefix) :].split("/")
                size, kind = (0, "directory") if deeper else (len(data), "file")
                found[prefix + first] = {"name": prefix + first, "size": size, "type": kind}
        if not found:
            raise FileNotFoundError(path)
        return list(found.values()) if detail else list(found)

    def cat_file(self, path, start=None, end=None, **unused):
        if self.broken:
            raise RuntimeError("the network is down")
        data = self.contents[self._strip_protocol(path)][start:end]
        self.sent.append(len(data))
        return data

    def _open(self, path, mode="rb", **options):
        return BucketFile(self, path, mode, **options)


@pytest.fixture
def bucket(monkeypatch):
    fsspec.register_implementation("s3", Bucket, clobber=True)
    monkeypatch.setattr(Bucket, "contents", {})
    monkeypatch.setattr(Bucket, "sent", [])
    return Bucket


def test_bucket_is_converted(bucket, make_images, tmp_path):
    contents, pixels = make_images(3)
    bucket.contents |= {f"photos/set/{name}": data for name, data in contents.items()}
    bucket.contents["photos/set.zip"] = archive_of(contents)
    for src, dest in (("set", "a.zip"), ("set.zip", "b.zip"), ("set", "records")):
        form = [] if dest.endswith(".zip") else ["--format", "array_record"]
        done = tiny_runs.flaxgan("dataset", f"s3://photos/{src}", tmp_path / dest, *form)
        assert done.code == 0, done.err
        found = open_source("array_record" if form else "zip", tmp_path / dest)
        np.testing.assert_array_equal([found.images[index] for index in range(3)], pixels)
    refused = tiny_runs.flaxgan("dataset", "s3://photos/nothing", tmp_path / "c.zip")
    assert refused.code == 1 and "SRC: found 's3://photos/nothing', which does not exist" in refused.err


def test_folder_in_a_bucket(bucket, make_images):
    files, pixels = make_images(4)
    bucket.contents |= {
        f"photos/set/{'ab'[index // 2]}/{name}": data for index, (name, data) in enumerate(files.items())
    }
    bucket.contents |= {"photos/set/a/.hidden.png": b"", "photos/setting/9.png": b"", "photos/set/notes.txt": b""}
    source = open_source("folder", "s3://photos/set", num_classes=2)
    assert len(source) == 4 and source.class_names == ("a", "b") and "(1 other file ignored)" in source.description
    for index in range(4):
        np.testing.assert_array_equal(source[index][0], pixels[index])
    bucket.contents["photos/set/dataset.json"] = json.dumps(
        {"labels": [[f"{'ab'[index // 2]}/{index}.png", 3 - index] for index in range(4)]}
    ).encode()
    np.testing.assert_array_equal(open_source("folder", "s3://photos/set").labels, [3, 2, 1, 0])


def archive_of(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def test_archive_in_a_bucket_is_read_by_many_threads_and_only_where_it_is_needed(bucket, make_images):
    files, pixels = make_images(60, height=64, width=64)
    bucket.contents["photos/set.zip"] = archive_of(files)
    source = open_source("zip", "s3://photos/set.zip")
    bucket.sent.clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: source[index][0], range(60)))
    np.testing.assert_array_equal(np.stack(found), pixels)
    assert len(bucket.sent) == 60 and sum(bucket.sent) < 1.05 * len(bucket.contents["photos/set.zip"])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[3][0], pixels[3])


def test_file_that_has_no_ranges_is_read_through_its_position(bucket, monkeypatch):
    bucket.contents["photos/x"] = bytes(range(100))
    monkeypatch.setattr(Bucket, "_open", lambda self, path, mode="rb", **options: io.BytesIO(self.contents[path]))
    file = storage.open_file("s3://photos/x")
    assert file.size == 100
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda offset: file.read_at(offset, 3, "x")[0], range(90))) == list(range(90))


def test_what_a_bucket_does_not_deliver_is_named_and_never_skipped(bucket, make_images, monkeypatch):
    files, _ = make_images(3)
    bucket.contents |= {f"photos/set/{name}": data for name, data in files.items()}
    bucket.contents["photos/set.zip"] = archive_of(files)
    sources = [open_source("folder", "s3://photos/set", on_error="skip"), open_source("zip", "s3://photos/set.zip")]
    monkeypatch.setattr(Bucket, "broken", True)
    for source in sources:
        with pytest.raises(StorageError, match=r"s3://photos/set.*1\.png.*the network is down"):
            source[1]


@pytest.mark.parametrize(
    "path, problem",
    [
        ("ftp://photos/set", r"config\.data\.path: found 'ftp://photos/set', allowed: .* gs://, s3://, az://, hf://"),
        ("s3://photos/nothing", r"config\.data\.path: found 's3://photos/nothing', which does not exist"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_address_that_cannot_be_read(bucket, path, problem, kind):
    bucket.contents["photos/set/0.png"] = b""
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        open_source(kind, path)


def test_local_file_ends_before_what_is_asked_for(tmp_path):
    (tmp_path / "x").write_bytes(bytes(10))
    file = storage.open_file(str(tmp_path / "x"))
    assert file.size == 10 and file.read_at(4, 6, "x") == bytes(6) and file.read_at(10, 0, "x") == b""
    with pytest.raises(ImageError, match="here: the archive ends before the file does"):
        file.read_at(5, 6, "here")
    with pytest.raises(StorageError, match=r"nothing: the file cannot be read \(No such file"):
        storage.open_file(str(tmp_path / "nothing"))


def test_bucket_whose_client_is_not_installed(monkeypatch):
    def missing(self):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(type(epath.Path("gs://photos")), "exists", missing)
    with pytest.raises(
        ValueError, match=r"config\.data\.path: found 'gs://photos/set', which cannot be read \(Please install gcsfs"
    ):
        open_source("folder", "gs://photos/set")
