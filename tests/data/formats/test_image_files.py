"""What a folder and an archive have in common; each test runs on both."""

import concurrent.futures
import io
import re

import numpy as np
import pytest
from PIL import Image

from flaxgan.data.decoding import decode
from flaxgan.data.decoding.transform import Transform
from flaxgan.data.errors import MixedSetError
from flaxgan.data.formats import image_files


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("height, width", [(8, 8), (8, 12)])
def test_pixels_come_back_in_the_order_of_names(opened, make_images, height, width, channels):
    contents, pixels = make_images(4, height=height, width=width, channels=channels)
    source = opened(contents, resolution=(height, width), channels=channels)
    assert source.image_shape == (height, width, channels)
    assert source.labels is None and source.num_classes == 0 and source.class_names == ()
    assert len(source) == 4
    for index in range(4):
        image, label = source[index]
        assert image.dtype == np.uint8 and label == 0 and label.dtype == np.int32
        np.testing.assert_array_equal(image, pixels[index])


def test_shape_comes_from_the_first_image_where_it_is_unset(opened, make_images):
    assert opened(make_images(2, height=6, width=10, channels=4)[0]).image_shape == (6, 10, 4)


def test_labels_of_dataset_json(opened, make_images):
    contents, _ = make_images(3)
    source = opened(contents, [["2.png", 0], ["0.png", 1], ["1.png", 1]], num_classes=2)
    np.testing.assert_array_equal(source.labels, [1, 1, 0])
    assert source.labels.dtype == np.int32
    assert [int(source[index][1]) for index in range(3)] == [1, 1, 0]
    assert source.num_classes == 2 and source.class_names == ("0", "1")


def test_zero_classes_ignores_even_a_broken_label_file(opened, make_images):
    source = opened({**make_images(2)[0], "dataset.json": b"{"}, num_classes=0)
    assert source.labels is None and source.num_classes == 0


def test_other_and_hidden_files_are_ignored_and_the_former_counted(opened, make_images):
    contents, _ = make_images(2)
    others = {"notes.txt": b"x", "sub/readme.md": b"x"}
    hidden = {
        ".DS_Store": b"x",
        "__MACOSX/0.png": b"x",
        "__MACOSX/._0.png": b"x",
        ".cache/1.png": b"x",
        "._1.png": b"x",
    }
    source = opened({**contents, **others, **hidden})
    assert len(source) == 2
    assert source.description.startswith("2 images of 8x8x3, no labels, from ")
    assert "(2 other files ignored)" in source.description


def test_upper_case_suffix_is_an_image(opened, make_images):
    contents, _ = make_images(1)
    assert len(opened({"0.PNG": contents["0.png"]})) == 1


@pytest.mark.parametrize("contents, found", [({}, "it is empty"), ({"a.txt": b"x", "b.gif": b"x"}, "2 other files")])
def test_no_images(opened, contents, found):
    with pytest.raises(
        ValueError,
        match=rf"config\.data\.path: found '.*set\.\w+', which has no images \({found}\), allowed: a .*data\.source=",
    ):
        opened(contents)


def test_size_that_is_not_the_one_asked_for(opened, make_images):
    with pytest.raises(ValueError, match=r"0\.png: .*8x12 pixels.*allowed: 8x8 \(config\.data\.resolution"):
        opened(make_images(2, width=12)[0], resolution=8)


def test_channels_asked_for_are_converted_to_and_the_description_says_so(opened, make_images):
    contents, pixels = make_images(2, channels=1)
    source = opened(contents, channels=3)
    assert source.image_shape == (8, 8, 3) and "(grey converted to RGB)" in source.description
    np.testing.assert_array_equal(source[1][0], np.repeat(pixels[1], 3, axis=2))


def test_images_of_any_size_and_kind_become_one_shape(opened, make_images):
    contents = {
        "0.png": make_images(1, height=20, width=30)[0]["0.png"],
        "1.png": make_images(1, height=9, width=8, channels=1)[0]["0.png"],
        "2.png": make_images(1, height=50, width=3, channels=4)[0]["0.png"],
    }
    wanted = {"resolution": (8, 12), "channels": 3, "crop": "center", "resize": "lanczos"}
    source = opened(contents, **wanted)
    notes = "the first is 20x30; cropped about the centre, resize lanczos"
    assert source.image_shape == (8, 12, 3) and notes in source.description
    transform = Transform((8, 12), 3, "center", "lanczos")
    for index, data in enumerate(contents.values()):
        np.testing.assert_array_equal(source[index][0], decode.decode(data, "x", transform))


def test_label_vectors(opened, make_images):
    source = opened(make_images(2)[0], [["1.png", [0, 0.5]], ["0.png", [1, -1]]], labels="vectors", num_classes=2)
    np.testing.assert_array_equal(source.labels, [[1, -1], [0, 0.5]])
    assert source.num_classes == 2 and source[1][1].dtype == np.float32 and "labels of 2 numbers" in source.description


def spoilt(make_images, bad: dict[str, bytes], count: int = 6) -> tuple[dict[str, bytes], np.ndarray]:
    contents, pixels = make_images(count)
    return {**contents, **bad}, pixels


BAD = {"2.png": b"", "3.png": b"no image", "0.png": b"x"}


def test_skipped_image_is_replaced_by_the_next_with_its_label_and_counted(opened, make_images, caplog):
    contents, pixels = spoilt(make_images, BAD)
    labels = [[f"{index}.png", index] for index in range(6)]
    source = opened(contents, labels, on_error="skip")
    for index, used in enumerate([1, 1, 4, 4, 4, 5]):
        image, label = source[index]
        np.testing.assert_array_equal(image, pixels[used])
        assert label == used
    assert len(source.skipped) == 3 and len(caplog.messages) == 3
    assert any("2.png: the file is empty" in message for message in caplog.messages)
    assert source.skipped.summary().startswith("3 images could not be used, and were replaced by the next one")
    assert source.skipped.summary().index("0.png") < source.skipped.summary().index("2.png")


def test_the_last_image_is_replaced_by_the_first(opened, make_images):
    contents, pixels = spoilt(make_images, {"5.png": make_images(1, width=9)[0]["0.png"]})  # of a wrong size
    source = opened(contents, on_error="skip", resolution=8)
    np.testing.assert_array_equal(source[5][0], pixels[0])


def test_skipping_stops_where_no_image_can_be_used(opened, make_images):
    contents = {f"{index}.png": data[:70] for index, data in enumerate(make_images(3)[0].values())}
    with pytest.raises(decode.ImageError, match=r"none of the 3 images can be used; the first: .*0\.png: "):
        opened(contents, on_error="skip")
    with pytest.raises(decode.ImageError, match=r"0\.png: the image is 8x8"):
        opened(make_images(3)[0], on_error="skip", resolution=16)


@pytest.mark.parametrize("shape, field", [({"width": 12}, "resolution"), ({"channels": 4}, "channels")])
def test_one_image_unlike_the_first_is_found_at_opening(opened, make_images, shape, field):
    contents, _ = make_images(5)
    contents["3.png"] = make_images(1, **shape)[0]["0.png"]
    with pytest.raises(ValueError, match=rf"3\.png: .*data\.{field}"):
        opened(contents)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_channels_that_differ_are_never_skipped(opened, make_images, monkeypatch, on_error):
    contents, _ = make_images(6, channels=4)
    rgb = make_images(6)[0]
    contents |= {"0.png": rgb["0.png"] if on_error == "raise" else b"", "3.png": rgb["3.png"], "4.png": rgb["4.png"]}
    first, other, of_other = ("0", "1", 4) if on_error == "raise" else ("1", "3", 3)
    message = (
        rf"{other}\.png: the image has {of_other} .*, but .*{first}\.png has {7 - of_other} .*data\.channels=1, 3 or 4"
    )
    with pytest.raises(MixedSetError, match=message):
        opened(contents, on_error=on_error)
    monkeypatch.setattr(image_files, "MAX_HEADERS_CHECKED", 1 if on_error == "raise" else 2)
    source = opened(contents, on_error=on_error)  # Images 0, and 5 of those that are skipped, were looked at.
    with pytest.raises(MixedSetError, match=message):
        source[int(other)]
    assert opened(contents, on_error=on_error, channels=3)[int(other)][0].shape == (8, 8, 3)


def test_first_image_that_is_stretched_is_noted(opened, make_images):
    contents, _ = make_images(5)
    contents |= {"1.png": b"", **{name: make_images(1, width=12)[0]["0.png"] for name in ("2.png", "3.png")}}
    wanted = {"resolution": 4, "on_error": "skip"}
    (note,) = opened(contents, resize="box", **wanted).notes
    assert re.search(r"2\.png is 8x12 pixels and is stretched to 4x4, .*data\.crop='center'", note)
    assert opened(contents, resize="box", crop="center", **wanted).notes == ()
    assert opened(contents, resize="box", resolution=(4, 6), on_error="skip").notes[0].count("0.png is 8x8") == 1


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"no image", lambda data: data[:40]])
def test_first_image_is_decoded_at_opening(opened, make_images, damage):
    contents, _ = make_images(2)
    contents["0.png"] = damage(contents["0.png"])
    with pytest.raises(ValueError, match=r"0\.png: "):
        opened(contents)


def test_damage_behind_the_header_is_named_on_reading(opened, make_images):
    contents, _ = make_images(3)
    contents["1.png"] = contents["1.png"][:60]
    source = opened(contents)
    source[0], source[2]
    with pytest.raises(decode.ImageError, match=r"1\.png: .*cannot be decoded"):
        source[1]


def test_header_check_is_limited_and_what_it_misses_is_found_on_reading(opened, make_images, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_HEADERS_CHECKED", 3)
    contents, _ = make_images(5)
    contents["1.png"] = make_images(1, width=12)[0]["0.png"]
    source = opened(contents)  # images 0, 2 and 4 were looked at
    with pytest.raises(decode.ImageError, match=r"1\.png: .*8x12 pixels.*data\.resolution"):
        source[1]


def test_header_longer_than_the_start_that_is_read(opened, make_images):
    # JPEG keeps its size behind the colour profile, which may be long.
    contents = {}
    for index, image in enumerate(make_images(2)[1]):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", icc_profile=bytes(200_000))
        contents[f"{index}.jpg"] = file.getvalue()
    assert opened(contents).image_shape == (8, 8, 3)


def test_label_problems_name_file_and_field(opened, make_images):
    contents, _ = make_images(2)
    with pytest.raises(ValueError, match=r"dataset\.json: .*'1\.png' has label 5; allowed: .*data\.num_classes"):
        opened(contents, [["0.png", 0], ["1.png", 5]], num_classes=3)
    with pytest.raises(
        ValueError, match=r"config\.data\.num_classes: found 4, allowed: 3, because .*set\.\w+ has 3 classes"
    ):
        opened(contents, [["0.png", 0], ["1.png", 2]], num_classes=4)
    with pytest.raises(ValueError, match=r"dataset\.json: 1 of 2 images have no label, such as '1\.png'"):
        opened(contents, [["0.png", 0]])
    with pytest.raises(ValueError, match=r"dataset\.json: not a JSON file"):
        opened({**contents, "dataset.json": b"{"})


def test_classes_asked_of_images_without_labels(opened, make_images):
    with pytest.raises(
        ValueError, match=r"config\.data\.num_classes: found 10, allowed: 0, because .*set\.\w+ has no labels"
    ):
        opened(make_images(2)[0], num_classes=10)


def test_many_threads_read_what_one_reads(opened, make_images):
    contents, pixels = make_images(16, height=24, width=24)
    source = opened(contents)
    indices = np.random.default_rng(0).integers(0, 16, 400).tolist()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        read = list(pool.map(lambda index: source[index][0], indices))
    np.testing.assert_array_equal(np.stack(read), pixels[indices])
