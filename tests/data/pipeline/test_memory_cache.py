import dataclasses
import pickle

import numpy as np
import pytest
import tiny_runs

from flaxgan.data import errors, open_source
from flaxgan.data.pipeline import batching, memory_cache
from flaxgan.data.source import Source

SHAPE = (4, 4, 3)
BYTES = 4 * 4 * 3 + 300


class Decoder:
    """Images that note how often each of them is decoded."""

    def __init__(self):
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> np.ndarray:
        if index == 5:
            raise errors.ImageError("5.png: damaged")
        self.decoded.append(index)
        return np.random.default_rng(index).integers(0, 256, SHAPE, np.uint8)


def test_images_are_decoded_once_as_long_as_there_is_room():
    decoder = Decoder()
    images = memory_cache.CachedImages(decoder, 2)
    for _ in range(3):
        for index in range(3):
            np.testing.assert_array_equal(images[index], Decoder()[index])
    assert len(images) == 6
    assert sorted(set(decoder.decoded)) == [0, 1, 2] and decoder.decoded.count(0) == decoder.decoded.count(1) == 1
    assert decoder.decoded.count(2) == 3


def test_one_that_is_kept_cannot_be_changed_and_damage_is_raised_each_time():
    images = memory_cache.CachedImages(Decoder(), 9)
    with pytest.raises(ValueError, match="read-only"):
        images[0][0] = 1
    for _ in range(2):
        with pytest.raises(errors.ImageError, match="5.png: damaged"):
            images[5]


def test_it_travels_without_what_it_keeps():
    images = memory_cache.CachedImages(open_source("synthetic", None, resolution=8).images, 9)
    before = len(pickle.dumps(images))
    images[0]
    assert len(pickle.dumps(images)) == before


def test_memory_says_how_many_are_kept(tmp_path):
    folder = tiny_runs.write_folder(tmp_path / "images", SHAPE)
    source = open_source("folder", folder)
    assert memory_cache.keep(source, 0.0) is source
    assert memory_cache.keep(source, (BYTES - 1) / 2**30) is source
    found = memory_cache.keep(source, 2.5 * BYTES / 2**30)
    assert isinstance(found.images, memory_cache.CachedImages) and found.images._max_images == 2
    digits = open_source("digits", None)
    assert memory_cache.keep(digits, 1.0) is digits


def test_any_source_that_reads_its_images_can_be_kept():
    source = Source(Decoder(), SHAPE, None, 0, (), "")
    assert isinstance(memory_cache.keep(source, 1.0).images, memory_cache.CachedImages)


def test_batches_are_the_same(tmp_path):
    folder = tiny_runs.write_folder(tmp_path / "images", SHAPE)
    source = open_source("folder", folder, num_classes=2)
    for images in (1, tiny_runs.NUM_IMAGES // 2, tiny_runs.NUM_IMAGES):
        other = memory_cache.keep(source, (images + 0.5) * BYTES / 2**30)
        for step in (0, 1, 5, 2):
            one, two = (batching.batch_at(of, step, batch_size=8, seed=3, mirror=True) for of in (source, other))
            assert one.keys() == two.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], two[name])


def test_skipped_images_are_skipped_as_before(tmp_path):
    folder = tiny_runs.write_folder(tmp_path / "images", SHAPE)
    path = sorted((folder / "class0").iterdir())[3]
    path.write_bytes(path.read_bytes()[:50])
    source = memory_cache.keep(open_source("folder", folder, on_error="skip"), 1.0)
    plain = dataclasses.replace(open_source("folder", folder, on_error="skip"))
    for index in range(len(source)):
        np.testing.assert_array_equal(source[index][0], plain[index][0])
    assert len(source.skipped) == len(plain.skipped) == 1
