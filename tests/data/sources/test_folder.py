import os

import numpy as np
import pytest

from flaxgan.data.image_spec import ImageSpec
from flaxgan.data.sources import folder

UNSET = {"resolution": None, "channels": None, "num_classes": None}


@pytest.fixture
def root(tmp_path, make_images):
    """Two classes of two images each."""
    for index, data in enumerate(make_images(4)[0].values()):
        path = tmp_path / "set" / "ab"[index // 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "set"


def test_sub_folders_are_classes(root):
    source = folder.open(root, ImageSpec(**{**UNSET, "num_classes": 2}))
    np.testing.assert_array_equal(source.labels, [0, 0, 1, 1])
    assert source.class_names == ("a", "b")
    assert source.description == f"4 images of 8x8x3, 2 classes, from {root}"


def test_sub_folders_without_images_are_no_classes(root):
    (root / "Notes").mkdir()
    (root / "Notes" / "list.txt").write_text("x")
    assert folder.open(root, ImageSpec(**UNSET)).class_names == ("a", "b")


def test_number_of_sub_folders_must_be_num_classes(root):
    with pytest.raises(
        ValueError, match=rf"config\.data\.num_classes: found 3, allowed: 2, because {root} has 2 classes, or 0"
    ):
        folder.open(root, ImageSpec(**{**UNSET, "num_classes": 3}))


def test_label_file_comes_before_sub_folders(root):
    (root / "dataset.json").write_text('{"labels": [["a/0.png", 2], ["a/1.png", 0], ["b/2.png", 1], ["b/3.png", 1]]}')
    source = folder.open(root, ImageSpec(**UNSET))
    np.testing.assert_array_equal(source.labels, [2, 0, 1, 1])
    assert "ignored" not in source.description
    (root / "dataset.json").write_text('{"labels": null}')
    assert folder.open(root, ImageSpec(**UNSET)).labels is None


def test_label_file_below_the_top_is_refused_unless_labels_are_ignored(root):
    (root / "a" / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"{root}: 'a/dataset\.json' is not at the top; allowed"):
        folder.open(root, ImageSpec(**UNSET))
    assert len(folder.open(root, ImageSpec(**{**UNSET, "num_classes": 0}))) == 4


def test_images_beside_classes_are_refused_unless_labels_are_ignored(root):
    (root / "x.png").write_bytes((root / "a" / "0.png").read_bytes())
    with pytest.raises(ValueError, match=rf"{root}: images both in sub-folders \(such as 'a'\).*'x\.png'"):
        folder.open(root, ImageSpec(**UNSET))
    assert len(folder.open(root, ImageSpec(**{**UNSET, "num_classes": 0}))) == 5


def test_missing_path_says_how_to_lay_out_the_data(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"data\.path: found '.*nothing', which does not exist, .*Sub-folders are classes"
    ):
        folder.open(tmp_path / "nothing", ImageSpec(**UNSET))
    with pytest.raises(ValueError, match=r"data\.path: found '', allowed: .*Sub-folders are classes"):
        folder.open("", ImageSpec(**UNSET))


def test_file_instead_of_a_folder(root):
    with pytest.raises(
        ValueError, match=r"data\.path: found '.*0\.png', a file \(config\.data\.source='zip' reads ZIP"
    ):
        folder.open(root / "a" / "0.png", ImageSpec(**UNSET))


def test_linked_folders_are_followed(root, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "x").symlink_to(root / "a")
    (tmp_path / "links" / "y").symlink_to(root / "b")
    assert folder.open(tmp_path / "links", ImageSpec(**UNSET)).class_names == ("x", "y")


def test_link_to_an_outer_folder_is_refused(root):
    (root / "a" / "loop").symlink_to(root)
    with pytest.raises(ValueError, match=r"data\.path: found '.*a/loop', which links to a folder that contains it"):
        folder.open(root, ImageSpec(**UNSET))


def test_broken_link_is_refused(root):
    (root / "a" / "9.png").symlink_to(root / "nothing.png")
    with pytest.raises(ValueError, match=r"data\.path: found '.*a/9\.png', a broken link"):
        folder.open(root, ImageSpec(**UNSET))


def test_folders_in_folders_without_end_are_refused(root, monkeypatch):
    monkeypatch.setattr(folder, "_MAX_DEPTH", 5)
    (root / "a/b/c/d").mkdir(parents=True)
    assert len(folder.open(root, ImageSpec(**UNSET))) == 4
    (root / "a/b/c/d/e").mkdir()
    with pytest.raises(ValueError, match=r"data\.path: found 'a/b/c/d/e/'\.\.\. with more than 5 nested folders"):
        folder.open(root, ImageSpec(**UNSET))


def test_label_file_that_is_no_file(root):
    os.mkfifo(root / "dataset.json")  # reading it would wait for ever
    with pytest.raises(
        ValueError, match=r"dataset\.json: is not a file; allowed: a file of labels, or config\.data\.num_classes=0"
    ):
        folder.open(root, ImageSpec(**UNSET))


def test_names_that_cannot_be_printed(root):
    name = b"a/\xff\n\x1b[31m.png"
    place = os.path.join(os.fsencode(root), name)
    os.rename(root / "a" / "0.png", place)
    source = folder.open(root, ImageSpec(**UNSET))
    assert source[1][0].shape == source.image_shape and f"from {root}" in source.description
    with open(place, "wb") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"a/\\udcff\\n\\x1b\[31m\.png: not a PNG"):
        source[1]


def test_file_that_vanishes_is_named(root):
    source = folder.open(root, ImageSpec(**UNSET))
    (root / "b" / "2.png").unlink()
    with pytest.raises(ValueError, match=r"b/2\.png: the file cannot be read \(No such file"):
        source[2]


def test_folder_that_may_not_be_read_is_named(root, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(folder.os, "scandir", refuse)
    with pytest.raises(ValueError, match=rf"data\.path: found '{root}', which cannot be read \(Permission denied\)"):
        folder.open(root, ImageSpec(**UNSET))
