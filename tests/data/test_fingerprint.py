import dataclasses
import zipfile

import numpy as np
import pytest
import tiny_runs

from flaxgan import cli
from flaxgan.data import fingerprint, open_source


@pytest.fixture
def folder(tmp_path):
    return tiny_runs.write_folder(tmp_path / "images", (8, 8, 3))


def test_a_set_is_the_same_wherever_it_lies(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = folder.rename(tmp_path / "elsewhere" / "images")
    found = fingerprint.dataset_fingerprint(open_source("folder", moved, num_classes=2))
    assert found["images"] == tiny_runs.NUM_IMAGES and found["shape"] == [8, 8, 3] and found["classes"] == 2
    (tmp_path / "elsewhere" / "images").rename(folder)
    assert fingerprint.dataset_fingerprint(open_source("folder", folder, num_classes=2)) == found


def test_other_names_and_labels_are_another_set(folder):
    source = open_source("folder", folder, num_classes=2)
    found = fingerprint.dataset_fingerprint(source)
    image = next((folder / "class1").iterdir())
    image.rename(image.with_name("other.png"))
    renamed = fingerprint.dataset_fingerprint(open_source("folder", folder, num_classes=2))
    assert {name for name in found if found[name] != renamed[name]} == {"names"}
    relabelled = fingerprint.dataset_fingerprint(dataclasses.replace(source, labels=np.zeros_like(source.labels)))
    assert {name for name in found if found[name] != relabelled[name]} == {"labels"}


@pytest.mark.parametrize("destination, kind", [("set.zip", "zip"), ("set", "array_record")])
def test_how_a_set_was_made_is_kept(folder, tmp_path, destination, kind):
    arguments = ["dataset", str(folder), str(tmp_path / destination), "--resolution", "4", "--resize", "box"]
    assert cli.main([*arguments, *(["--format", kind] if kind != "zip" else [])]) == 0
    found = fingerprint.dataset_fingerprint(open_source(kind, tmp_path / destination))
    assert found["resize"] == "box" and found["crop"] == "none" and len(found["sha256"]) == 64
    assert found["shape"] == [4, 4, 3]


def test_an_archive_made_by_others_has_no_such_notes(tmp_path):
    path = tiny_runs.write_folder(tmp_path / "images", (8, 8, 3))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for image in path.glob("*/*.png"):
            archive.write(image, image.name)
    found = fingerprint.dataset_fingerprint(open_source("zip", tmp_path / "set.zip"))
    assert found.keys() == {"images", "shape", "classes", "names"}
