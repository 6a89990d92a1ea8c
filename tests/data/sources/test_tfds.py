import pathlib
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from doc_examples import example
from PIL import Image

from flaxgan.data import open_source
from flaxgan.data.formats import label_cache, tfds_layout
from flaxgan.data.formats.tfds_layout import Place
from flaxgan.data.pipeline import batching

NUM_PHOTOS = 7

# A set with several images, several labels and values of every kind, in two splits.
MANY_FEATURES = """
import io
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


class ManyFeatures(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.2.0")

    def _info(self):
        features = tfds.features
        return tfds.core.DatasetInfo(builder=self, features=features.FeaturesDict({
            "photo": features.Image(shape=(None, None, 3)),
            "mask": features.Image(shape=(None, None, 1)),
            "fine": features.ClassLabel(num_classes=4),
            "coarse": features.ClassLabel(names=["a", "b"]),
            "flags": {"z": np.bool_, "y": np.bool_},
            "vector": features.Tensor(shape=(3,), dtype=np.float32),
            "number": features.Scalar(dtype=np.int32),
            "text": features.Text(),
        }))

    def _split_generators(self, downloads):
        return {"train": self._generate_examples(5), "test": self._generate_examples(2)}

    def _generate_examples(self, count):
        for index in range(count):
            yield index, {
                "photo": png(np.full((6, 8, 3), index, np.uint8)), "mask": png(np.full((6, 8), 255, np.uint8)),
                "fine": index % 4, "coarse": index % 2 if count == 5 else -1,
                "flags": {"z": index == 0, "y": True}, "vector": [index, 0.5, -1], "number": index, "text": "x",
            }


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    return file


ManyFeatures(data_dir="tfds", file_format="array_record").download_and_prepare()
ManyFeatures(data_dir="other", file_format="parquet").download_and_prepare()
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> pathlib.Path:
    """A folder with the set of the guide's example, and one with many features; not to be written to."""
    root = tmp_path_factory.mktemp("tfds")
    for index in range(NUM_PHOTOS):
        path = root / "photos" / ("cat", "dog")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 30 * index, np.uint8)).save(path)
    (root / "example.py").write_text(example("docs/guides/tfds.md", "tfds"))
    (root / "many_features.py").write_text(MANY_FEATURES)
    program = "import sys, example, many_features; sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stderr)
    return root


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch, prepared):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared / "tfds"))


def grey_levels(source) -> list[int]:
    return [int(source.images[index][0, 0, 0]) for index in range(len(source))]


def test_example_of_the_guide_trains(prepared):
    source = open_source("tfds", "photos")
    assert source.class_names == ("cat", "dog") and source.image_shape == (8, 8, 3)
    assert sorted(grey_levels(source)) == [30 * index for index in range(NUM_PHOTOS)]
    for index, level in enumerate(grey_levels(source)):
        assert source.labels[index] == level // 30 % 2
    batch = next(batching.batches(source, batch_size=14, seed=0))
    assert sorted(batch["images"][:7, 0, 0, 0]) == sorted(batch["images"][7:, 0, 0, 0]) == sorted(grey_levels(source))
    np.testing.assert_array_equal(batch["labels"], batch["images"][:, 0, 0, 0] // 30 % 2)
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("place", ["photos", "photos:1.0.0", "photos:1.0.0:train", "photos:train"])
def test_names_and_folders_of_a_set(prepared, place):
    by_name = open_source("tfds", place)
    for folder in (f"{prepared}/tfds/{place}", f"{prepared}/tfds/{place.replace('photos', 'photos/1.0.0')}"):
        by_folder = open_source("tfds", folder)
        np.testing.assert_array_equal(by_folder.labels, by_name.labels)
        assert grey_levels(by_folder) == grey_levels(by_name)


def test_splits_and_slices():
    whole = grey_levels(open_source("tfds", "photos"))
    assert grey_levels(open_source("tfds", "photos:train[2:5]")) == whole[2:5]
    assert grey_levels(open_source("tfds", "photos:train[:3]+train[5:]")) == whole[:3] + whole[5:]
    sliced = open_source("tfds", "photos:train[2:5]")
    np.testing.assert_array_equal(sliced.labels, open_source("tfds", "photos").labels[2:5])
    for split in ("tarin", "train[", "train[5:2]", "train[:99]", "train[0:0]"):
        with pytest.raises(ValueError, match=r"photos/1\.0\.0, split .*(no such split|is empty)"):
            open_source("tfds", f"photos:{split}")


@pytest.mark.parametrize(
    "keys, labels, expected",
    [
        ("label=fine", "classes", lambda index: index % 4),
        ("label=coarse", "classes", lambda index: index % 2),
        ("label=number", "classes", lambda index: index),
        ("label=flags", "vectors", lambda index: [1, index == 0]),
        ("label=vector", "vectors", lambda index: [index, 0.5, -1]),
    ],
)
def test_labels_of_every_kind(keys, labels, expected):
    source = open_source("tfds", f"many_features?image=photo&{keys}", labels=labels)
    np.testing.assert_array_equal(source.labels, [expected(level) for level in grey_levels(source)])
    assert source.labels.dtype == {"classes": np.int32, "vectors": np.float32}[labels]


def test_names_of_classes_and_places():
    assert open_source("tfds", "many_features?image=photo&label=coarse").class_names == ("a", "b")
    assert open_source("tfds", "many_features?image=photo&label=flags", labels="vectors").class_names == ("y", "z")
    assert open_source("tfds", "many_features?image=photo&label=number").class_names == ("0", "1", "2", "3", "4")


def test_what_could_be_several_things_is_asked_for():
    with pytest.raises(ValueError, match=r"has several images; allowed: one of mask, photo, as \?image=KEY"):
        open_source("tfds", "many_features")
    with pytest.raises(ValueError, match=r"has several labels; allowed: one of them \(coarse, fine\), as \?label=KEY"):
        open_source("tfds", "many_features?image=photo")
    assert open_source("tfds", "many_features?image=mask", num_classes=0).image_shape == (6, 8, 1)


@pytest.mark.parametrize(
    "keys, message",
    [
        ("image=fine", r"has no image 'fine'; allowed: one of mask, photo"),
        ("image=photo&label=photos", r"has no feature 'photos'; allowed as label: coarse, fine, flags, mask"),
        ("image=photo&label=text", r"the feature 'text' is .*; allowed as label: a class"),
        ("image=photo&label=mask", r"the feature 'mask' is .*; allowed as label: a class"),
        ("lable=fine", r"has 'lable=fine' after the '\?', allowed: image=KEY, label=KEY"),
    ],
)
def test_wrong_keys_are_named(keys, message):
    with pytest.raises(ValueError, match=message):
        open_source("tfds", f"many_features?{keys}")


def test_kinds_of_labels_are_not_confused():
    with pytest.raises(
        ValueError, match=r"config\.data\.labels: found 'classes', allowed: 'vectors', because .* has vectors"
    ):
        open_source("tfds", "many_features?image=photo&label=flags")
    with pytest.raises(ValueError, match=r"config\.data\.num_classes: found 3, allowed: 4, because .* has 4 classes"):
        open_source("tfds", "many_features?image=photo&label=fine", num_classes=3)


def test_split_without_labels_needs_to_be_asked_for_without():
    with pytest.raises(ValueError, match=r"'coarse' holds -1 as a class; .* needs config\.data\.num_classes=0"):
        open_source("tfds", "many_features:test?image=photo&label=coarse")
    assert len(open_source("tfds", "many_features:test?image=photo", num_classes=0)) == 2


def test_labels_are_collected_once(monkeypatch):
    first = open_source("tfds", "photos").labels
    monkeypatch.setattr(label_cache, "_write", None)  # what is done with those that were collected
    np.testing.assert_array_equal(open_source("tfds", "photos").labels, first)
    with pytest.raises(TypeError):
        open_source("tfds", "photos:train[1:4]")


def test_images_are_transformed():
    source = open_source("tfds", "photos", resolution=(4, 6), channels=1, crop="center", resize="lanczos")
    assert source[0][0].shape == (4, 6, 1)


def test_set_survives_pickling():
    source = open_source("tfds", "photos:train[1:4]")
    copy = pickle.loads(pickle.dumps(source))
    assert grey_levels(copy) == grey_levels(source) and len(copy) == 3


def test_set_in_another_form_is_refused_with_the_command_that_prepares_it(prepared):
    with pytest.raises(
        ValueError, match=r"is prepared as parquet; allowed: array_record\. .*'many_features:1\.2\.0'.*array_record"
    ):
        open_source("tfds", f"{prepared}/other/many_features")


@pytest.mark.parametrize(
    "path, name, folder",
    [
        ("cifar10", "cifar10", "tfds"),
        ("cifar10:3.0.2:test", "cifar10:3.0.2", "tfds"),
        ("lsun/bedroom", "lsun/bedroom", "tfds"),
        ("photos:7.0.0", "photos:7.0.0", "tfds"),
        ("/data/sets/celeb_a", "celeb_a", "/data/sets"),
        ("/data/sets/celeb_a/2.1.0:test", "celeb_a", "/data/sets"),
    ],
)
def test_missing_set_comes_with_the_command_that_prepares_it(prepared, path, name, folder):
    data_dir = folder if folder.startswith("/") else f"{prepared}/{folder}"
    command = f"tfds.builder('{name}', data_dir='{data_dir}', file_format='array_record').download_and_prepare()"
    with pytest.raises(FileNotFoundError, match=re.escape(command)):
        open_source("tfds", path)


@pytest.mark.parametrize(
    "path", ["", "Cifar 10", "cifar10:", "cifar10:[1:2]", ":train", "a/b/c", "?label=x", "file:///tmp"]
)
def test_malformed_path_says_what_is_allowed(path):
    with pytest.raises(ValueError, match=r"data\.path.*NAME\[/CONFIG\]\[:VERSION\]\[:SPLIT\]"):
        open_source("tfds", path)


def test_parts_of_a_path():
    assert tfds_layout.parse("cifar10") == Place("", "cifar10", None, "train", None, None)
    wanted = Place("", "lsun/tv-monitor", "3.1.0", "train[:90%]+test", "photo", "fine")
    assert tfds_layout.parse("lsun/tv-monitor:3.1.0:train[:90%]+test?label=fine&image=photo") == wanted
    assert tfds_layout.parse("gs://bucket/tfds/cifar10:test").path == "gs://bucket/tfds/cifar10"
    assert tfds_layout.parse("gs://bucket/tfds/cifar10:test").split == "test"
    assert tfds_layout.parse("~/tfds/cifar10").path == str(pathlib.Path.home() / "tfds/cifar10")
    assert tfds_layout.parse("./tfds/cifar10/:1.0.0").version == "1.0.0"


def make_version(folder: pathlib.Path):
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")


def test_newest_version_is_taken_unless_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    for version in ("2.9.0", "2.10.0", "1.11.0"):
        make_version(tmp_path / "faces" / version)
    (tmp_path / "faces" / "3.0.0").mkdir()  # begun, not finished
    locate = lambda path: tfds_layout.locate(tfds_layout.parse(path)).name
    assert locate("faces") == "2.10.0" and locate("faces:1.11.0") == "1.11.0"


def test_config_is_taken_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    locate = lambda path: str(tfds_layout.locate(tfds_layout.parse(path)).relative_to(tmp_path))
    make_version(tmp_path / "lsun" / "cat" / "3.1.0")
    assert locate("lsun") == locate("lsun/cat") == "lsun/cat/3.1.0"
    make_version(tmp_path / "lsun" / "dog" / "3.1.0")
    assert locate("lsun/dog") == "lsun/dog/3.1.0"
    with pytest.raises(ValueError, match=r"lsun', which holds several configs, allowed: one of them \(cat, dog\)"):
        locate("lsun")


def test_damaged_description_is_named(tmp_path):
    make_version(tmp_path / "faces" / "1.0.0")
    with pytest.raises(ValueError, match=r"faces/1\.0\.0, split train: the set's description cannot be read"):
        open_source("tfds", str(tmp_path / "faces"))


def test_damaged_and_missing_files_are_named(prepared, tmp_path):
    import shutil

    folder = shutil.copytree(prepared / "tfds" / "photos", tmp_path / "photos")
    (shard,) = folder.glob("1.0.0/*array_record*")
    data = shard.read_bytes()
    image = open_source("tfds", str(folder)).images.files.read(3)
    damaged = bytearray(data)
    damaged[data.find(image) + 30] ^= 1
    shard.write_bytes(damaged)
    source = open_source("tfds", str(folder), num_classes=0, on_error="skip")
    with pytest.raises(ValueError, match=r"photos/1\.0\.0, split train: record 3: the file is damaged"):
        source.images[3]
    assert len(np.unique(source[3][0])) == 1 and len(source.skipped) == 1
    shard.unlink()
    with pytest.raises(ValueError, match=r"record 0: cannot be read"):
        open_source("tfds", str(folder), num_classes=0)
    with pytest.raises(ValueError, match=r"photos/1\.0\.0, split train: record 0: the label 'label' cannot be read"):
        open_source("tfds", str(folder))
