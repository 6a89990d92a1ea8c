import json

import numpy as np
import pytest

from flaxgan.data.formats import labels
from flaxgan.data.image_spec import ImageSpec

NAMES = ("a/0.png", "a/1.png", "b/2.png")


def parse(content, **wanted):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return labels.from_json(data, NAMES, request=ImageSpec(**wanted), where="set/dataset.json")


def pairs(*values):
    return {"labels": [list(pair) for pair in zip(NAMES, values)]}


def test_labels_follow_the_names_and_not_the_file():
    found = parse({"labels": [["b/2.png", 0], ["a\\1.png", 3], ["a/0.png", 1]]})
    assert found.values.dtype == np.int32
    np.testing.assert_array_equal(found.values, [1, 3, 0])
    assert found.class_names == ("0", "1", "2", "3")


def test_null_says_that_there_are_no_labels():
    assert parse({"labels": None}) is None


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"{", "not a JSON file"),
        (b"", "not a JSON file"),
        (b"\xff\xfe\xfd", "not a JSON file"),
        (b"[" * 100_000, "not a JSON file"),
        ([], 'no entry "labels"'),
        ({"label": []}, 'no entry "labels"'),
        ({"labels": {"a/0.png": 0}}, '"labels" is a dict'),
        ({"labels": 3}, '"labels" is a int'),
        ({"labels": [["a/0.png"]]}, "entry 0 of"),
        ({"labels": [["a/0.png", 0], "a/1.png"]}, "entry 1 of"),
        ({"labels": [[0, "a/0.png"]]}, "entry 0 of"),
        ({"labels": []}, "3 of 3 images have no label, such as 'a/0.png'"),
        (pairs(0, 1), "1 of 3 images have no label, such as 'b/2.png'"),
        ({"labels": [*pairs(0, 1, 2)["labels"], ["c.png", 0]]}, "1 labelled images are missing, such as 'c.png'"),
        ({"labels": [*pairs(0, 1, 2)["labels"], ["a/0.png", 0]]}, "'a/0.png' has more than one label"),
        (pairs(0, -1, 2), "'a/1.png' has label -1; allowed: integers 0 to"),
        (pairs(0, 1.5, 2), "'a/1.png' has label 1.5; allowed: integers"),
        (pairs(0, 1.0, 2), "'a/1.png' has label 1.0; allowed: integers"),
        (pairs(0, True, 2), "'a/1.png' has label True; allowed: integers"),
        (pairs(0, "cat", 2), "'a/1.png' has label 'cat'; allowed: integers"),
        (pairs(0, None, 2), "'a/1.png' has label None; allowed: integers"),
        (pairs(0, 10**12, 2), "'a/1.png' has label 1000000000000; allowed: integers 0 to 999999"),
        (
            pairs(0, [0.1, 0.9], 2),
            r"config.data.labels: found 'classes', allowed: 'vectors', .*'a/1.png' has a vector .*\[0.1, 0.9\]\)",
        ),
    ],
)
def test_unusable_file_is_named_with_the_problem(content, problem):
    with pytest.raises(ValueError, match=problem) as error:
        parse(content)
    assert "set/dataset.json" in str(error.value)


def test_label_beyond_num_classes_is_named():
    with pytest.raises(
        ValueError, match=r"dataset\.json: .*'a/1\.png' has label 7; allowed: integers 0 to 4 \(config\.data\.num_c"
    ):
        parse(pairs(0, 7, 2), num_classes=5)


def test_file_that_is_too_large_for_its_images(monkeypatch):
    monkeypatch.setattr(labels, "_MAX_BYTES", 0)
    monkeypatch.setattr(labels, "_MAX_IMAGE_BYTES", 10)
    with pytest.raises(ValueError, match=r"set/dataset\.json: has .* bytes or more; allowed: up to 30 for 3 images"):
        parse(pairs(0, 1, 2))


def test_long_values_are_shortened_in_messages():
    with pytest.raises(ValueError) as error:
        parse(pairs(0, [0.5] * 10_000, 2))
    assert len(str(error.value)) < 400


def test_folders_are_classes_in_sorted_order():
    found = labels.from_folders(("cat/0.png", "ant/x/1.png", "bee/2.png", "ant/3.png"), "set")
    np.testing.assert_array_equal(found.values, [2, 0, 1, 0])
    assert found.values.dtype == np.int32
    assert found.class_names == ("ant", "bee", "cat")


@pytest.mark.parametrize("names", [("0.png", "1.png"), ("all/0.png", "all/x/1.png")])
def test_no_folders_or_one_around_everything_is_no_labels(names):
    assert labels.from_folders(names, "set") is None


def test_images_beside_class_folders_are_refused():
    with pytest.raises(
        ValueError, match=r"set: images both in sub-folders \(such as 'a'\).*'0\.png'.*data\.num_classes=0"
    ):
        labels.from_folders(("0.png", "a/1.png"), "set")


def test_num_classes_must_agree():
    found = labels.Labels(np.array([0, 1], np.int32), ("0", "1"))
    for allowed in (None, 2):
        labels.check(found, ImageSpec(num_classes=allowed), "set")
    labels.check(None, ImageSpec(num_classes=0), "set")
    with pytest.raises(
        ValueError, match=r"config\.data\.num_classes: found 3, allowed: 2, because set has 2 classes, or 0"
    ):
        labels.check(found, ImageSpec(num_classes=3), "set")
    with pytest.raises(
        ValueError, match=r"config\.data\.num_classes: found 3, allowed: 0, because set has no labels; or add labels"
    ):
        labels.check(None, ImageSpec(num_classes=3), "set")


def test_vectors_follow_the_names():
    found = parse({"labels": [["b/2.png", [0, 1]], ["a/1.png", [0.5, -2]], ["a/0.png", [1e-3, 1]]]}, labels="vectors")
    assert found.values.dtype == np.float32 and found.class_names == ("0", "1")
    np.testing.assert_array_equal(found.values, np.array([[1e-3, 1], [0.5, -2], [0, 1]], np.float32))
    labels.check(found, ImageSpec(num_classes=2, labels="vectors"), "set")
    with pytest.raises(
        ValueError, match=r"data\.num_classes: found 3, allowed: 2, because set has labels of 2 numbers, or 0"
    ):
        labels.check(found, ImageSpec(num_classes=3, labels="vectors"), "set")
    with pytest.raises(
        ValueError, match=r"config\.data\.labels: found 'classes', allowed: 'vectors', because set has vectors"
    ):
        labels.check(found, ImageSpec(num_classes=2), "set")


@pytest.mark.parametrize(
    "label",
    [1, [], [True, 0], ["1", 0], [None, 0], [[1], 0], [float("nan"), 0], [1e999, 0], [1e39, 0], [10**400, 0]],
)
def test_what_is_no_vector(label):
    with pytest.raises(ValueError, match=r"dataset\.json: the image 'a/1\.png' has label .*a list of finite numbers"):
        parse(pairs([0, 1], label, [1, 1]), labels="vectors")


def test_vectors_have_one_length():
    with pytest.raises(ValueError, match=r"'b/2\.png' has a label of 3 numbers, but 'a/0\.png' one of 2"):
        parse(pairs([0, 1], [1, 1], [1, 1, 1]), labels="vectors")


def test_classes_of_folders_are_no_vectors():
    with pytest.raises(
        ValueError, match=r"config\.data\.labels: found 'vectors', allowed: 'classes', because set has classes"
    ):
        labels.check(labels.from_folders(("a/0.png", "b/1.png"), "set"), ImageSpec(labels="vectors"), "set")
