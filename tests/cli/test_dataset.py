import io
import json
import os
import re
import signal
import sys
import zipfile

import converted_sets
import numpy as np
import pytest
import tiny_runs
from converted_sets import content
from PIL import Image

from flaxgan.cli import _data_flags, _progress_line
from flaxgan.data import open_source
from flaxgan.data.conversion.journal import Row
from flaxgan.data.formats import image_files


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow where other programs write much


@pytest.fixture
def photos(tmp_path):
    """A folder of RGB photos of several sizes in two classes."""
    for index in range(6):
        path = tmp_path / "photos" / ("cat", "dog")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (20 + index, 30, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "photos"


def dataset(*arguments):
    return tiny_runs.flaxgan("dataset", *arguments)


def test_folder_to_archive_to_records_and_back(photos, tmp_path):
    first = dataset(photos, tmp_path / "a.zip", "--resolution", "8x12", "--crop", "center")
    assert first.code == 0, first.err
    summary = re.search(r"a\.zip: (6 images of 8x12x3, 2 classes, sha256 [0-9a-f]{64})\n", first.out)[1]
    assert "the first is 20x30; cropped about the centre, resize lanczos" in first.out
    for src, dest, *form in (("a.zip", "b", "--format", "array_record"), ("b", "c.zip")):
        done = dataset(tmp_path / src, tmp_path / dest, *form)
        assert done.code == 0 and f"{dest}: {summary}" in done.out, done.err
    wanted = open_source("folder", photos, resolution=(8, 12), crop="center", resize="lanczos")
    for kind, path in (("zip", "a.zip"), ("array_record", "b"), ("zip", "c.zip")):
        found = open_source(kind, tmp_path / path)
        assert found.class_names == ("cat", "dog")
        np.testing.assert_array_equal(found.labels, wanted.labels)
        for index in range(6):
            np.testing.assert_array_equal(found.images[index], wanted.images[index])
        checked = dataset("--check", tmp_path / path)
        assert checked.code == 0 and f"is whole: {summary}" in checked.out


def test_manifest_says_how_the_set_was_made(photos, tmp_path):
    dataset(photos, tmp_path / "a.zip", "--resolution", "8", "--resize", "box", "--channels", "1", "--labels", "none")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        found = json.loads(archive.read("manifest.json"))
        assert json.loads(archive.read("dataset.json")) == {"labels": None}
    assert found["count"] == 6 and found["shape"] == [8, 8, 1] and found["labels"] == "none"
    assert found["resize"] == "box" and found["crop"] == "none" and found["source"] == "folder photos"
    assert re.fullmatch(r"flaxgan \S+, Pillow \S+, zlib(_ng)? \S+", found["made_by"])


def test_label_vectors_are_found_and_kept(photos, tmp_path):
    names = sorted(str(path.relative_to(photos)) for path in photos.glob("*/*.png"))
    vectors = [[float(index), 0.25, -1.0] for index in range(6)]
    (photos / "dataset.json").write_text(json.dumps({"labels": list(zip(names, vectors))}))
    done = dataset(photos, tmp_path / "a.zip", "--resolution", "8")
    assert done.code == 0 and "labels of 3 numbers, sha256" in done.out, done.err
    np.testing.assert_array_equal(open_source("zip", tmp_path / "a.zip", labels="vectors").labels, vectors)


def test_set_that_brings_its_own_images(tmp_path):
    done = dataset("digits", tmp_path / "a.zip", "--resolution", "8")
    assert done.code == 0 and "1,797 images of 8x8x1, 10 classes" in done.out, done.err
    again = dataset("digits", tmp_path / "a.zip", "--resolution", "8")
    assert again.code == 0 and "is there already, made like this; nothing to do" in again.out
    other = dataset("digits", tmp_path / "a.zip", "--resolution", "16")
    assert other.code == 1 and "a.zip: exists" in other.err


def test_images_that_cannot_be_used_stop_or_are_named_and_left_out(photos, tmp_path):
    (photos / "cat" / "2.png").write_bytes(b"")
    (photos / "dog" / "3.png").write_bytes((photos / "dog" / "5.png").read_bytes()[:300])
    for _ in range(2):  # at the second time, from what the first has left
        stopped = dataset(photos, tmp_path / "a.zip", "--resolution", "8")
        assert stopped.code == 1 and "error: 2 of 6 images cannot be used; the first: " in stopped.err
        for name in ("cat/2.png", "dog/3.png"):
            assert re.search(rf"cannot be used: \S*photos/{re.escape(name)}: ", stopped.err)
    assert not (tmp_path / "a.zip").exists() and "--on-error skip" in stopped.err
    done = dataset(photos, tmp_path / "a.zip", "--resolution", "8", "--on-error", "skip")
    assert done.code == 0 and "4 images of 8x8x3, 2 classes, 2 skipped (named in manifest.json)" in done.out
    assert "skipped image" not in done.err
    anew = dataset(photos, tmp_path / "b.zip", "--resolution", "8", "--on-error", "skip")
    for name in ("cat/2.png", "dog/3.png"):
        assert re.search(rf"skipped: \S*photos/{re.escape(name)}: ", anew.err)
    assert content(tmp_path / "a.zip") == content(tmp_path / "b.zip")
    assert dataset("--check", tmp_path / "a.zip").code == 0


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_images_that_differ_in_channels_or_size_are_not_damaged(photos, tmp_path, monkeypatch, on_error):
    Image.new("RGBA", (30, 20)).save(photos / "cat" / "0.png")
    command = (photos, tmp_path / "a.zip", "--resolution", "8", "--on-error", on_error)
    stopped = dataset(*command)
    assert stopped.code == 1, stopped.err
    found = re.search(
        r"error: \S*cat/2\.png: the image has 3 channels \(RGB\), but \S*cat/0\.png has 4 .*", stopped.err
    )
    assert "--channels 1, 3 or 4" in found[0] and sorted(os.listdir(tmp_path)) == ["photos"]
    monkeypatch.setattr(image_files, "MAX_HEADERS_CHECKED", 1)  # The others are seen when they are read.
    assert "cat/2.png: the image has 3 channels" in dataset(*command).err
    done = dataset(*command, "--channels", "3", "--restart")
    assert done.code == 0 and "6 images of 8x8x3" in done.out
    monkeypatch.undo()
    refused = dataset(photos, tmp_path / "b.zip", "--on-error", on_error, "--channels", "3")
    assert refused.code == 1 and re.search(
        r"cat/2\.png: the image is 22x30 .*allowed: 20x30 \(--resolution", refused.err
    )


def test_images_that_are_stretched_are_said(photos, tmp_path):
    Image.new("RGB", (20, 20)).save(photos / "cat" / "0.png")
    done = dataset(photos, tmp_path / "a.zip", "--resolution", "8")
    (line,) = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    assert re.search(r"cat/2\.png is 22x30 pixels and is stretched to 8x8, .*--crop 'center' crops them", line)
    cropped = dataset(photos, tmp_path / "b.zip", "--resolution", "8", "--crop", "center")
    assert cropped.code == 0 and "warning" not in cropped.err


def test_killed_in_the_middle_the_same_command_goes_on(photos, tmp_path):
    arguments = ["dataset", str(photos), str(tmp_path / "a.zip"), "--resolution", "8", "--workers"]
    program = "import sys; from flaxgan import cli; from flaxgan.data.conversion import convert_dataset\n"
    program += "convert_dataset._DUE_IMAGES = 2\n"
    killed = converted_sets.run_until_killed(f"{program}sys.exit(cli.main({[*arguments, '2']}))", 3)
    assert killed == -signal.SIGKILL and not (tmp_path / "a.zip").exists()
    done = tiny_runs.flaxgan(*arguments, "4")
    assert done.code == 0 and "going on after 2 of 6 images" in done.err, done.err
    assert dataset(photos, tmp_path / "b.zip", "--resolution", "8", "--workers", "1").code == 0
    assert content(tmp_path / "a.zip") == content(tmp_path / "b.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip", "photos"]


def test_work_in_progress_of_another_command_is_refused(photos, tmp_path):
    (photos / "dog" / "3.png").write_bytes((photos / "dog" / "3.png").read_bytes()[:300])
    command = (photos, tmp_path / "a.zip", "--resolution", "8")
    assert dataset(*command).code == 1
    refused = dataset(*command, "--resize", "box")
    assert refused.code == 1 and "was started with resize 'lanczos', and this command has 'box'" in refused.err
    assert "--restart" in refused.err
    done = dataset(*command, "--resize", "box", "--on-error", "skip", "--restart")
    assert done.code == 0 and "5 images" in done.out


def test_check_names_what_is_damaged(photos, tmp_path):
    dataset(photos, tmp_path / "a.zip", "--resolution", "8")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for index in (1, 4):
        data[data.find(b"00000/img%08d.png" % index) + 60] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    checked = dataset("--check", tmp_path / "a.zip")
    assert checked.code == 1 and "error: " in checked.err and "2 problems, named above" in checked.err
    for index in (1, 4):
        assert f"00000/img{index:08d}.png: the archive is damaged" in checked.err


def test_damaged_manifest_is_named(photos, tmp_path):
    dataset(photos, tmp_path / "a", "--resolution", "8", "--format", "array_record")
    (tmp_path / "a" / "manifest.json").write_text("{")
    for arguments in (["--check", tmp_path / "a"], [tmp_path / "a", tmp_path / "b.zip"]):
        assert "a/manifest.json: not a manifest that" in dataset(*arguments).err


def test_mistake_in_label_vectors_is_not_taken_for_one_in_classes(photos, tmp_path):
    labels = [[f"{('cat', 'dog')[index % 2]}/{index}.png", [0.5, index]] for index in range(6)]
    labels[4][1] = [0.5]
    (photos / "dataset.json").write_text(json.dumps({"labels": labels}))
    refused = dataset(photos, tmp_path / "a.zip", "--resolution", "8")
    assert "'cat/4.png' has a label of 1 numbers, but 'cat/0.png' one of 2" in refused.err


def test_link_in_the_place_of_the_set_is_kept(photos, tmp_path):
    (tmp_path / "a.zip").symlink_to(tmp_path / "disk" / "a.zip")
    assert "a.zip: exists; allowed" in dataset(photos, tmp_path / "a.zip", "--resolution", "8").err
    assert (tmp_path / "a.zip").is_symlink()


def test_check_refuses_what_this_command_has_not_made(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, "PNG")
        archive.writestr("a.png", file.getvalue())
    assert (
        "has no manifest.json; allowed: a set that `flaxgan dataset` has made"
        in dataset("--check", tmp_path / "a.zip").err
    )
    assert "has no manifest.json" in dataset("--check", tmp_path).err
    assert "does not exist" in dataset("--check", tmp_path / "nothing.zip").err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], r"SRC and DEST: one is missing"),
        (["photos"], r"SRC and DEST: one is missing"),
        (["photos", "--check", "a.zip"], r"has no|SRC: found '.*photos' beside --check"),
        (["nothing", "a.zip"], r"SRC: '.*nothing' does not exist; allowed: a folder, .*--source tfds"),
        (["photos", "a"], r"DEST: found '.*a'; allowed: a name that ends in \.zip, or --format array_record"),
        (["photos", "a", "--format", "zip"], r"DEST: found '.*a' with --format zip"),
        (["photos", "a.zip", "--format", "array_record"], r"DEST: found '.*a\.zip' with --format array_record"),
        (["photos", "gs://bucket/a.zip"], r"DEST: found 'gs://bucket/a\.zip'; allowed: a local path"),
        (["photos", "a.zip", "--workers", "0"], r"--workers: found 0, allowed: at least 1"),
        (["photos", "a.zip", "--source", "floder"], r"--source: found 'floder', allowed: .*folder"),
        (["photos", "a.zip"], r"the image is 2[12]x30 pixels"),
        (
            ["photos", "a.zip", "--crop", "center"],
            r"--crop: found 'center', allowed: 'none', because --resolution is unset",
        ),
        (
            ["photos", "a.zip", "--labels", "vectors", "--resolution", "8"],
            r"--labels: found 'vectors', allowed: 'classes', because .* has classes",
        ),
        (["photos", "nowhere/\0/a.zip", "--resolution", "8"], r"null"),
    ],
)
def test_wrong_arguments_are_named_and_leave_nothing(photos, tmp_path, arguments, message):
    paths = ("photos", "a.zip", "a", "nothing")
    outcome = dataset(*[str(tmp_path / word) if word in paths else word for word in arguments])
    assert outcome.code == 1 and re.search(message, outcome.err), outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


@pytest.mark.parametrize(
    "message, expected",
    [
        ("data.channels=1, 3 or 4 converts", "--channels 1, 3 or 4 converts"),
        ("a (data.resolution, or b). data.on_error=skip", "a (--resolution, or b). --on-error skip"),
        ("data.path='a' is; data.num_classes=0 to", "SRC 'a' is; --labels none to"),
        ("config.data.path: found 'a', allowed: config.data.crop='none'", "SRC: found 'a', allowed: --crop 'none'"),
        (
            "/data.path/data.crop.png, my_data.labels, data.cropped",
            "/data.path/data.crop.png, my_data.labels, data.cropped",
        ),
    ],
)
def test_messages_name_flags(message, expected):
    assert _data_flags.with_flags(message) == expected


@pytest.mark.parametrize(
    "flags",
    [["--resolution", "8x"], ["--resolution", "0"], ["--resize", "cubic"], ["--channels", "2"], ["--on-error", "x"]],
)
def test_what_cannot_be_parsed_ends_with_code_2(photos, tmp_path, flags):
    outcome = dataset(photos, tmp_path / "a.zip", *flags)
    assert outcome.code == 2 and flags[0] in outcome.err


def convert_slowly(line, now):
    """Goes on after 1,000 images, and makes four images a second; one of them is skipped."""
    for index in range(1000):
        line.converted(Row(index), is_new=False)
    for index in range(1000, 1080):
        now[0] += 0.25
        line.converted(Row(index, skipped="a.png: is empty" if index == 1050 else None), is_new=True)
    line.close()


@pytest.fixture
def now(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_progress_line.time, "monotonic", lambda: now[0])
    return now


def test_line_of_progress_in_a_file(now, capsys):
    convert_slowly(_progress_line.ProgressLine(2000), now)
    assert capsys.readouterr().err.splitlines() == [
        "going on after 1,000 of 2,000 images",
        "1,040 of 2,000 images (52.0%), 4 images/s, 4:00 left",
        "skipped: a.png: is empty",
        "1,080 of 2,000 images (54.0%), 4 images/s, 3:50 left, 1 skipped",
    ]


def test_line_of_progress_on_a_terminal(now, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    convert_slowly(_progress_line.ProgressLine(20_000), now)
    lines = capsys.readouterr().err.split("\n")
    assert lines[0] == "going on after 1,000 of 20,000 images"
    assert lines[1].count("\r\033[K") == 51 and lines[1].endswith("\r\033[Kskipped: a.png: is empty")
    assert "\r\033[K1,001 of 20,000 images (5.0%), 4 images/s, 1:19:10 left\r" in lines[1]
    assert lines[2].endswith("\r\033[K1,080 of 20,000 images (5.4%), 4 images/s, 1:18:50 left, 1 skipped")
    assert lines[3:] == [""]
