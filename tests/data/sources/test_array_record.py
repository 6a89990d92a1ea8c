import concurrent.futures
import functools
import io
import json
import pickle
import shutil
import zipfile

import converted_sets
import numpy as np
import pytest
from converted_sets import reopened

from flaxgan.data import open_source
from flaxgan.data.conversion import convert_dataset, verify
from flaxgan.data.conversion.array_record_writer import RecordSetWriter

SHARD_BYTES = 2000  # a few images


@pytest.fixture(scope="module")
def noise():
    return converted_sets.noise(40)


@pytest.fixture(scope="module")
def whole(noise, tmp_path_factory):
    """A set of several files, not to be written to."""
    path = tmp_path_factory.mktemp("array_record") / "set"
    with pytest.MonkeyPatch.context() as patched:
        writer = functools.partial(RecordSetWriter, shard_bytes=SHARD_BYTES)
        patched.setitem(convert_dataset.WRITERS, "array_record", writer)
        converted_sets.convert(noise, path, "array_record")
    return path


@pytest.fixture
def path(whole, tmp_path):
    """A copy of that set, to be damaged."""
    return shutil.copytree(whole, tmp_path / "set")


def shards(path):
    return sorted(path.glob("*.array_record"))


def change_manifest(path, **fields):
    old = json.loads((path / "manifest.json").read_bytes())
    (path / "manifest.json").write_text(json.dumps(old | fields))


def damage_image(path, image: bytes):
    """Flips a bit inside a record."""
    for shard in shards(path):
        data = bytearray(shard.read_bytes())
        place = data.find(image)
        if place >= 0:
            data[place + len(image) // 2] ^= 1
            shard.write_bytes(data)
            return
    raise AssertionError("no such image")


def file_of(source, index: int) -> bytes:
    return source.images.files.read(index)


def test_set_of_several_files_is_read_at_random(whole, noise):
    source = reopened(whole)
    assert len(shards(whole)) > 3 and len(source) == 40
    for index in np.random.default_rng(0).permutation(40).tolist():
        image, label = source[index]
        np.testing.assert_array_equal(image, noise.images[index])
        assert label == noise.labels[index]
    assert source.description == f"40 images of 8x8x3, 3 classes, from {whole}"


def test_many_threads_read_at_once(whole, noise):
    source = reopened(whole)
    indices = np.random.default_rng(0).integers(0, 40, 1000).tolist()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for index, image in zip(indices, pool.map(source.images.__getitem__, indices)):
            np.testing.assert_array_equal(image, noise.images[index])


def test_set_survives_pickling(whole, noise):
    source = pickle.loads(pickle.dumps(reopened(whole)))
    np.testing.assert_array_equal(source.images[39], noise.images[39])
    np.testing.assert_array_equal(source.labels, noise.labels)


def test_labels_can_be_ignored(whole):
    assert reopened(whole, num_classes=0).labels is None
    with pytest.raises(ValueError, match=r"config\.data\.num_classes: found 4, allowed: 3, because .* has 3 classes"):
        reopened(whole, num_classes=4)


def test_images_are_transformed(whole):
    source = reopened(whole, resolution=(4, 6), channels=1, resize="box")
    assert source[0][0].shape == (4, 6, 1)
    with pytest.raises(ValueError, match=r"record 0: the image is 8x8 pixels"):
        reopened(whole, resolution=4)


def test_records_are_as_documented(whole, noise):
    import msgpack
    from array_record.python import array_record_module

    record = array_record_module.ArrayRecordReader(str(shards(whole)[0])).read([1])[0]
    content = msgpack.unpackb(record)
    assert list(content) == ["name", "label", "image"]
    assert content["name"] == "00000/img00000001.png" and content["label"] == noise.labels[1]
    assert content["image"].startswith(b"\x89PNG")


def test_missing_path_and_folder_of_another_kind(tmp_path):
    with pytest.raises(
        ValueError, match=r"config\.data\.path: found '', allowed: .*flaxgan dataset SRC DEST --format array_record"
    ):
        open_source("array_record", "")
    with pytest.raises(
        FileNotFoundError, match=r"data\.path: found '.*nothing', which does not exist, .*--format array_record"
    ):
        open_source("array_record", tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"has no manifest\.json, .*--format array_record"):
        open_source("array_record", tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(ValueError, match=r"manifest\.json: not a manifest that"):
        open_source("array_record", tmp_path)


def test_missing_file_and_file_cut_short_are_named(path):
    shard = shards(path)[1]
    data = shard.read_bytes()
    shard.write_bytes(data[:-1000])
    with pytest.raises(ValueError, match=r"images-00001\.array_record: has .* bytes; manifest\.json says .*cut short"):
        reopened(path)
    shard.unlink()
    with pytest.raises(ValueError, match=r"images-00001\.array_record: the file is missing"):
        reopened(path)


def test_file_of_zeros_is_named(path):
    shard = shards(path)[2]
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(ValueError, match=r"images-00002\.array_record: .*(holds 0 readable|cannot be opened)"):
        reopened(path)


def test_manifest_and_files_must_agree(path):
    change_manifest(path, count=41)
    with pytest.raises(ValueError, match=r"manifest\.json: says 41 images, but its files hold 40"):
        reopened(path)
    change_manifest(path, count=10**15)
    with pytest.raises(ValueError, match=r"manifest\.json: says 1,000,000,000,000,000 images"):
        reopened(path)
    change_manifest(path, count=0, shards=[])
    with pytest.raises(ValueError, match=r"manifest\.json: says 0 images"):
        reopened(path)


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros(39, np.int32),
        np.zeros(40, np.int64),
        np.zeros((40, 3), np.float32),
        np.full(40, 3, np.int32),
        np.full(40, -1, np.int32),
        np.array([object()] * 40),
    ],
)
def test_labels_must_be_what_the_manifest_says(path, labels):
    file = io.BytesIO()
    np.save(file, labels)
    (path / "labels.npy").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match=r"labels\.npy: "):
        reopened(path)


def npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "data",
    [
        b"\x93NUMPY",
        b"PK\x03\x04",
        npy(b"{'descr': '<i4', 'fortran_order': False, 'shape': (((("),
        npy(b"{'descr': '<i4', 'fortran_order': False, 'shape': (" + b"9" * 30 + b",)}"),
        npy(b"{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000000,)}"),
        npy(b"-" * 3000 + b"1"),
    ],
)
def test_labels_that_are_damaged(path, data):
    (path / "labels.npy").write_bytes(data)
    with pytest.raises(ValueError, match=r"labels\.npy: the labels cannot be read"):
        reopened(path)


def test_labels_that_are_missing(path):
    (path / "labels.npy").unlink()
    with pytest.raises(ValueError, match=r"labels\.npy: the file cannot be read"):
        reopened(path)


def test_damaged_record_is_named_or_skipped(path):
    damage_image(path, file_of(reopened(path), 5))
    source = reopened(path, on_error="skip")
    np.testing.assert_array_equal(source[5][0], source[6][0])
    assert len(source.skipped) == 1
    with pytest.raises(ValueError, match=r"images-0000\d\.array_record: record \d+: the file is damaged"):
        reopened(path)


def test_record_of_another_kind_is_named(path):
    from array_record.python import array_record_module

    shard = shards(path)[0]
    entry = json.loads((path / "manifest.json").read_bytes())
    writer = array_record_module.ArrayRecordWriter(str(shard), "group_size:1")
    for index in range(entry["shards"][0]["count"]):
        writer.write(b"\x01" if index else b'{"image": 3}')
    writer.close()
    entry["shards"][0]["num_bytes"] = shard.stat().st_size
    change_manifest(path, shards=entry["shards"])
    for index, problem in ((0, "cannot be read"), (1, "has no image")):
        with pytest.raises(ValueError, match=rf"record {index}: the record {problem}"):
            reopened(path, on_error="skip").images[index]


def test_random_damage_never_gives_another_error_or_other_pixels(path, noise):
    random = np.random.default_rng(0)
    shard = shards(path)[0]
    data = shard.read_bytes()
    for _ in range(30):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 300):
            damaged[place] = random.integers(256)
        shard.write_bytes(damaged)
        try:
            source = reopened(path)
            images = [source.images[index] for index in range(40)]
        except ValueError as error:
            assert "array_record" in str(error)
            continue
        np.testing.assert_array_equal(np.stack(images), noise.images)


def test_verification_names_what_is_damaged(path):
    assert verify.verify(path) == []
    source = reopened(path)
    for index in (5, 30):
        damage_image(path, file_of(source, index))
    problems = verify.verify(path)
    assert len(problems) == 2 and all("the file is damaged" in problem for problem in problems)


def test_verification_finds_labels_and_checksums_that_were_changed(path):
    labels = np.load(path / "labels.npy")
    np.save(path / "labels.npy", np.roll(labels, 1))
    problems = verify.verify(path)
    assert problems and "its label is not the one in labels.npy" in problems[0]
    np.save(path / "labels.npy", labels)
    change_manifest(path, sha256="0" * 64)
    assert "manifest.json has the checksum of" in verify.verify(path)[0]


def test_verification_of_an_archive(noise, tmp_path):
    path = tmp_path / "set.zip"
    converted_sets.convert(noise, path, "zip")
    assert verify.verify(path) == []
    data = path.read_bytes()
    path.write_bytes(data.replace(b'img00000003.png", 0', b'img00000003.png", 1'))
    with pytest.raises(ValueError, match="dataset.json"):
        verify.verify(path)
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as archive, zipfile.ZipFile(io.BytesIO(data)) as old:
        for name in old.namelist():
            archive.writestr(name, b"[" * 10_000 if name == "dataset.json" else old.read(name))
    with pytest.raises(ValueError, match=r"nested\.zip: its labels cannot be read"):
        verify.verify(tmp_path / "nested.zip")
    damaged = bytearray(data)
    damaged[data.find(b"00000/img00000007.png") + 60] ^= 1
    path.write_bytes(damaged)
    (problem,) = verify.verify(path)
    assert "set.zip: 00000/img00000007.png: the archive is damaged" in problem


def test_archive_that_does_not_hold_what_its_manifest_says(noise, tmp_path):
    path = tmp_path / "set.zip"
    converted_sets.convert(noise, path, "zip")
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}

    def rewritten(**changes):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in (contents | changes).items():
                archive.writestr(name, data)
        return path

    extra = {"00000/img00000099.png": contents["00000/img00000000.png"]}
    with pytest.raises(ValueError, match=r"manifest\.json says 40 images, but the archive holds 41"):
        reopened(rewritten(**extra), num_classes=0)
    fields = json.loads(contents["manifest.json"])
    shape = {"manifest.json": json.dumps(fields | {"shape": [8, 9, 3]})}
    with pytest.raises(ValueError, match=r"manifest\.json says images of \(8, 9, 3\), but .*\.png is \(8, 8, 3\)"):
        reopened(rewritten(**shape))
    names = {"manifest.json": json.dumps(fields | {"class_names": ["a"]})}
    with pytest.raises(ValueError, match=r"dataset\.json: has 3 classes; manifest\.json names fewer"):
        reopened(rewritten(**names))
    # A file of that name that another program has written means nothing.
    assert len(reopened(rewritten(**{"manifest.json": '{"name": "a web app"}'}))) == 40
