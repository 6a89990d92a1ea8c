import json
import struct
import zipfile

import numpy as np
import pytest

from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.sources import zip as zip_source

UNSET = {"resolution": None, "channels": None, "num_classes": None}


@pytest.fixture
def images(make_images):
    return make_images(4, height=16, width=16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "set.zip"


def write(path, contents, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated(path, images, compression):
    contents, pixels = images
    labels = json.dumps({"labels": [[name, index % 2] for index, name in enumerate(contents)]})
    source = zip_source.open(write(path, {**contents, "dataset.json": labels}, compression), ImageSpec(**UNSET))
    np.testing.assert_array_equal(np.stack([source[index][0] for index in range(4)]), pixels)
    np.testing.assert_array_equal(source.labels, [0, 1, 0, 1])


def test_file_larger_than_the_start_that_is_read(path, make_images):
    contents, pixels = make_images(2, height=200, width=200)
    assert len(contents["0.png"]) > 1 << 16
    source = zip_source.open(write(path, contents, zipfile.ZIP_DEFLATED), ImageSpec(**UNSET))
    np.testing.assert_array_equal(source[1][0], pixels[1])


def test_archive_with_something_before_it(path, images):
    contents, pixels = images
    write(path, contents)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    np.testing.assert_array_equal(zip_source.open(path, ImageSpec(**UNSET))[3][0], images[1][3])


def test_folders_inside_are_no_classes(path, images):
    contents = {f"0000{index % 2}/{name}": data for index, (name, data) in enumerate(images[0].items())}
    assert zip_source.open(write(path, contents), ImageSpec(**UNSET)).labels is None


def test_label_file_below_the_top_is_refused_unless_labels_are_ignored(path, images):
    contents = {f"set/{name}": data for name, data in images[0].items()}
    write(path, {**contents, "set/dataset.json": b"{}"})
    with pytest.raises(ValueError, match=r"set\.zip: 'set/dataset\.json' is not at the top; allowed"):
        zip_source.open(path, ImageSpec(**UNSET))
    assert len(zip_source.open(path, ImageSpec(**{**UNSET, "num_classes": 0}))) == 4


def test_missing_path_says_how_to_lay_out_the_data(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"data\.path: found '.*nothing\.zip', which does not exist.*optional dataset\.json"
    ):
        zip_source.open(tmp_path / "nothing.zip", ImageSpec(**UNSET))


def test_folder_instead_of_an_archive(tmp_path):
    with pytest.raises(ValueError, match=r"data\.path: found '.*', a folder \(config\.data\.source='folder' reads"):
        zip_source.open(tmp_path, ImageSpec(**UNSET))


@pytest.mark.parametrize("data", [b"", b"hello", bytes(1000)])
def test_not_an_archive(path, data):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"data\.path: found '.*set\.zip', which is not a ZIP archive"):
        zip_source.open(path, ImageSpec(**UNSET))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_archive_that_was_cut_short(path, images, share):
    data = write(path, images[0]).read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match=r"data\.path: found '.*set\.zip', a damaged ZIP archive, perhaps cut short"):
        zip_source.open(path, ImageSpec(**UNSET))


def test_archive_cut_short_after_opening(path, images):
    source = zip_source.open(write(path, images[0]), ImageSpec(**UNSET))
    with path.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ValueError, match=r"set\.zip: 3\.png: the archive ends before"):
        source[3]


def test_name_that_occurs_twice(path, images):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.png", images[0]["0.png"])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("0.png", images[0]["1.png"])
    with pytest.raises(ValueError, match=r"set\.zip: '0\.png' occurs twice"):
        zip_source.open(path, ImageSpec(**UNSET))


@pytest.mark.parametrize(
    "name", ["../0.png", "a/../../0.png", "/0.png", "..\\0.png", "a/..\\..\\0.png", "\\0.png", "//host/0.png"]
)
def test_name_that_leads_outside(path, images, name):
    with pytest.raises(ValueError, match=r"set\.zip: '.*0\.png' leads outside the archive"):
        zip_source.open(write(path, {name: images[0]["0.png"]}), ImageSpec(**UNSET))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression(path, images, compression):
    with pytest.raises(ValueError, match=r"set\.zip: '0\.png' uses compression method \d+; allowed: 0 \(stored\), 8"):
        zip_source.open(write(path, images[0], compression), ImageSpec(**UNSET))


def central_records(data: bytes) -> list[int]:
    """Offsets of the records of the archive's directory."""
    offsets, offset = [], data.find(b"PK\x01\x02")
    while offset >= 0:
        offsets.append(offset)
        offset = data.find(b"PK\x01\x02", offset + 4)
    return offsets


def patch(path, record: int, offset: int, value: bytes):
    """Overwrites a field of one record of the archive's directory."""
    data = bytearray(path.read_bytes())
    start = central_records(data)[record] + offset
    data[start : start + len(value)] = value
    path.write_bytes(data)


def test_encrypted_file(path, images):
    patch(write(path, images[0]), 1, 8, struct.pack("<H", 1))
    with pytest.raises(ValueError, match=r"set\.zip: '1\.png' is encrypted"):
        zip_source.open(path, ImageSpec(**UNSET))


def test_file_beyond_the_end(path, images):
    patch(write(path, images[0]), 1, 42, struct.pack("<I", 10**9))
    with pytest.raises(ValueError, match=r"set\.zip: '1\.png' lies beyond the archive's end"):
        zip_source.open(path, ImageSpec(**UNSET))


def test_file_that_is_not_where_the_directory_says(path, images):
    patch(write(path, images[0]), 1, 42, struct.pack("<I", 7))
    with pytest.raises(ValueError, match=r"set\.zip: 1\.png: .*no file where its directory says"):
        zip_source.open(path, ImageSpec(**UNSET))


def test_file_of_absurd_size(path, images):
    patch(write(path, images[0], zipfile.ZIP_DEFLATED), 1, 24, struct.pack("<I", 1 << 30))
    with pytest.raises(ValueError, match=r"set\.zip: '1\.png' has 1,073,741,824 bytes; allowed: up to"):
        zip_source.open(path, ImageSpec(**UNSET))


def test_file_that_inflates_to_more_than_it_says(path, images):
    bomb = {"0.png": images[0]["0.png"], "1.png": images[0]["1.png"] + bytes(50_000_000)}
    patch(write(path, bomb, zipfile.ZIP_DEFLATED), 1, 24, struct.pack("<I", len(images[0]["1.png"])))
    source = zip_source.open(path, ImageSpec(**UNSET))
    with pytest.raises(ValueError, match=r"set\.zip: 1\.png: .*size or checksum is wrong"):
        source[1]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bits_are_found_by_the_checksum(path, images, compression):
    data = bytearray(write(path, images[0], compression).read_bytes())
    middle = (data.find(b"PK\x03\x04", 10) + data.find(b"PK\x03\x04", data.find(b"PK\x03\x04", 10) + 4)) // 2
    data[middle] ^= 0xFF
    path.write_bytes(data)
    source = zip_source.open(path, ImageSpec(**UNSET))
    source[0]
    with pytest.raises(ValueError, match=r"set\.zip: 1\.png: the archive is damaged"):
        source[1]


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_random_damage_never_gives_another_error_or_other_pixels(path, images, on_error):
    contents, pixels = images
    labels = json.dumps({"labels": [[f"{index}.png", index] for index in range(4)]})
    whole = write(path, {**contents, "dataset.json": labels}, zipfile.ZIP_DEFLATED).read_bytes()
    random = np.random.default_rng(0)
    directory = central_records(whole)[0]
    for trial in range(100):
        data = bytearray(whole)
        start = directory if trial % 2 else 0
        for position in random.integers(start, len(data), 3):
            data[position] = random.integers(256)
        if trial % 5 == 0:  # a piece lost, or one twice
            first, last = np.sort(random.integers(0, len(data), 2))
            data[first:last] = data[first:last] * 2 if trial % 2 else b""
        path.write_bytes(data)
        try:
            source = zip_source.open(path, ImageSpec(on_error=on_error))
            read = [source[index] for index in range(len(source))]
        except ValueError as error:
            assert "set.zip" in str(error) and (on_error == "skip" or "\n" not in str(error))
            continue
        for image, label in read:
            assert any(np.array_equal(image, original) for original in pixels) and label in range(4)


def test_zip64(path, images, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)  # the directory's end is then written in the long form
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in images[0].items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    assert b"PK\x06\x06" in path.read_bytes()
    source = zip_source.open(path, ImageSpec())
    np.testing.assert_array_equal(source[3][0], images[1][3])


def test_long_extra_fields_before_the_data(path, images):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in images[0].items():
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<HH", 0x7777, 3000) + bytes(3000)
            archive.writestr(info, data)
    source = zip_source.open(path, ImageSpec())
    np.testing.assert_array_equal(source[2][0], images[1][2])


@pytest.mark.parametrize("prefix", [b"#!/bin/sh\nexit\n", bytes(10_000)])
def test_archive_behind_something_else(path, images, prefix):
    path.write_bytes(prefix + write(path, images[0]).read_bytes())
    np.testing.assert_array_equal(zip_source.open(path, ImageSpec())[1][0], images[1][1])


def test_many_files_in_one_place(path, images):
    """The directory of a bomb may name the same bytes over and over: each is judged on its own."""
    data = write(path, images[0]).read_bytes()
    records = central_records(data)
    for record in range(1, 4):
        patch(path, record, 42, data[records[0] + 42 : records[0] + 46])
    source = zip_source.open(path, ImageSpec(on_error="skip"))
    for index in range(4):
        np.testing.assert_array_equal(source[index][0], images[1][0])
    assert len(source.skipped) == 3


def test_files_that_are_not_read_may_be_of_any_kind(path, images):
    write(path, images[0])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("notes.txt", b"x")
    assert len(zip_source.open(path, ImageSpec(**UNSET))) == 4


def test_file_that_says_it_is_compressed_to_more_than_any_image(path, images):
    write(path, images[0])
    patch(path, 0, 20, struct.pack("<I", (1 << 28) + 1))
    with pytest.raises(ValueError, match=r"set\.zip: '0\.png' has 268,435,457 bytes; allowed: up to 268,435,456"):
        zip_source.open(path, ImageSpec(**UNSET))


def test_names_that_cannot_be_printed(path, images):
    write(path, {"a\n\x1b[31m.png": b"x", **images[0]})
    with pytest.raises(ValueError, match=r"set\.zip: a\\n\\x1b\[31m\.png: not a PNG"):
        zip_source.open(path, ImageSpec(**UNSET))
