import hashlib
import itertools

import numpy as np
import pytest

from flaxgan.data.pipeline import batching, memory_cache, worker_processes
from flaxgan.data.source import Source

COUNT = 10


@pytest.fixture
def source():
    """Ten images that tell their index (blue) and whether they are flipped (red is a ramp from left to right)."""
    images = np.zeros((COUNT, 4, 6, 3), np.uint8)
    images[..., 0] = np.arange(6)
    images[..., 2] = np.arange(COUNT)[:, None, None]
    return Source(images, (4, 6, 3), np.arange(COUNT, dtype=np.int32) % 3, 3, ("a", "b", "c"), "ten images")


def indices(batch):
    return batch["images"][:, 0, 0, 2]


def shown(batch):
    """The images as the training step sees them."""
    return np.where(batch["flip"][:, None, None, None], batch["images"][:, :, ::-1], batch["images"])


def flips(batch):
    return shown(batch)[:, 0, 0, 0] == 5


def take(iterator, count):
    taken = list(itertools.islice(iterator, count))
    iterator.close()
    return taken


def assert_equal(first, second):
    assert first.keys() == second.keys() == {"images", "labels", "flip"}
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_batches_have_the_promised_shapes_and_labels(source):
    (batch,) = take(batching.batches(source, batch_size=4, seed=0), 1)
    assert batch["images"].shape == (4, 4, 6, 3) and batch["images"].dtype == np.uint8
    assert batch["labels"].shape == (4,) and batch["labels"].dtype == np.int32
    np.testing.assert_array_equal(batch["labels"], indices(batch) % 3)
    assert batch["flip"].shape == (4,) and batch["flip"].dtype == np.bool_


def test_same_seed_same_batches_for_any_number_of_threads(source):
    runs = [
        take(batching.batches(source, batch_size=4, seed=5, mirror=True, num_threads=threads), 8)
        for threads in (1, 2, 4)
    ]
    for first, second in itertools.pairwise(runs):
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)


def test_another_seed_gives_another_order_and_other_flips(source):
    first, second = (
        [batching.batch_at(source, step, batch_size=10, seed=seed, mirror=True) for step in range(3)] for seed in (0, 1)
    )
    assert not all(np.array_equal(indices(a), indices(b)) for a, b in zip(first, second))
    assert not all(np.array_equal(flips(a), flips(b)) for a, b in zip(first, second))


def test_random_access_gives_what_iteration_gives(source):
    options = {"batch_size": 4, "seed": 2, "mirror": True}
    for step, batch in enumerate(take(batching.batches(source, **options), 6)):
        assert_equal(batch, batching.batch_at(source, step, **options))


def test_starting_late_is_skipping(source):
    options = {"batch_size": 4, "seed": 2, "mirror": True}
    whole = take(batching.batches(source, **options), 12)
    for start in (1, 7):
        for one, other in zip(take(batching.batches(source, start=start, **options), 5), whole[start:]):
            assert_equal(one, other)


@pytest.mark.parametrize("process_count", [1, 2, 4])
def test_processes_together_give_the_global_batch_across_epochs(source, process_count):
    options = {"batch_size": 8, "seed": 3, "mirror": True}
    rows = [
        take(batching.batches(source, process_index=index, process_count=process_count, start=1, **options), 6)
        for index in range(process_count)
    ]
    for step in range(6):  # 48 images are almost five epochs
        whole = batching.batch_at(source, step + 1, **options)
        parts = [process[step] for process in rows]
        assert_equal({name: np.concatenate([part[name] for part in parts]) for name in whole}, whole)


def digest(parts: list[list[dict]]) -> list[str]:
    """A hash of each global batch, from the rows of each process in their order."""
    joined = (
        b"".join(part[name].tobytes() for name in ("images", "labels", "flip") for part in batch)
        for batch in zip(*parts, strict=True)
    )
    return [hashlib.sha256(data).hexdigest() for data in joined]


@pytest.mark.parametrize("labels", ["classes", "vectors"])
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_hashes_of_two_epochs_are_those_of_one_process(opened, make_images, on_error, labels):
    """Each process opens the set for itself, as on hosts of its own, with another number of threads."""
    contents, _ = make_images(20)
    bad = {"03.png", "04.png", "19.png"} if on_error == "skip" else set()
    contents = {name: b"" if name in bad else data for name, data in contents.items()}
    entries = [[name, index if labels == "classes" else [index, 0.5]] for index, name in enumerate(contents)]
    wanted = {"on_error": on_error, "labels": labels, "channels": 1}
    options = {"batch_size": 8, "seed": 3, "mirror": True}
    hashes = {}
    for count in (1, 2, 4):
        parts = []
        for index in range(count):
            process = {"process_index": index, "process_count": count, "num_threads": 1 + index}
            parts.append(take(batching.batches(opened(contents, entries, **wanted), **options, **process), 5))
        hashes[count] = digest(parts)
    assert hashes[1] == hashes[2] == hashes[4] and len(set(hashes[1])) == 5
    plain = batching.batches(opened(contents, entries, **wanted), **{**options, "mirror": False})
    assert not set(digest([take(plain, 5)])) & set(hashes[1])


def test_order_does_not_depend_on_the_batch_size_or_on_mirroring(source):
    large = batching.batch_at(source, 0, batch_size=24, seed=4, mirror=True)
    small = [batching.batch_at(source, step, batch_size=3, seed=4, mirror=True) for step in range(8)]
    assert_equal(large, {name: np.concatenate([batch[name] for batch in small]) for name in large})
    np.testing.assert_array_equal(indices(large), indices(batching.batch_at(source, 0, batch_size=24, seed=4)))


def test_every_epoch_has_every_image_once_in_a_new_order(source):
    order = np.concatenate([indices(batch) for batch in take(batching.batches(source, batch_size=4, seed=0), 15)])
    epochs = order.reshape(6, COUNT)
    np.testing.assert_array_equal(np.sort(epochs, 1), np.tile(np.arange(COUNT), (6, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_batch_larger_than_the_set(source):
    batch = batching.batch_at(source, 0, batch_size=25, seed=0)
    assert (np.bincount(indices(batch), minlength=COUNT) >= 2).all()


def test_mirror_flips_half_of_the_images_left_to_right(source):
    batch = batching.batch_at(source, 0, batch_size=1000, seed=0, mirror=True)
    flipped = flips(batch)
    assert 0.44 < flipped.mean() < 0.56
    ramp = np.arange(6)
    np.testing.assert_array_equal(shown(batch)[..., 0], np.where(flipped[:, None, None], ramp[::-1], ramp).repeat(4, 1))
    by_image = [flipped[indices(batch) == index].mean() for index in range(COUNT)]
    assert min(by_image) > 0.2 and max(by_image) < 0.8  # an image is not flipped for good
    assert not flips(batching.batch_at(source, 0, batch_size=100, seed=0)).any()


# SHA-256 of batches 1 to 3 as they were when the data pipeline flipped the pixels itself, at commit a7a579b.
SHOWN = "bd5ddf1c382c8d12e9bc9e0adb4d7f36116adca23bf7be2486806b964b64171c"


def test_flipped_batches_are_those_of_every_earlier_version(opened, make_images):
    """A run continues with the same images, be they decoded by threads, by processes or once and for all."""
    contents, _ = make_images(12, height=6, width=10)
    source = opened(contents, [[name, index % 3] for index, name in enumerate(contents)])
    spread, cached = worker_processes.spread(source, 1), memory_cache.keep(source, 1.0)
    for other in (source, spread, cached, memory_cache.keep(spread, 1.0), memory_cache.keep(source, 1e-6)):
        found = hashlib.sha256()
        for batch in take(batching.batches(other, batch_size=8, seed=3, start=1, mirror=True, num_threads=2), 3):
            found.update(shown(batch).tobytes() + batch["labels"].tobytes())
        assert found.hexdigest() == SHOWN


def test_class_grid_shows_no_image_of_another_class_in_place_of_a_skipped_one(opened, make_images):
    contents, pixels = make_images(6)
    contents = {name: b"" if name in ("0.png", "4.png") else data for name, data in contents.items()}
    source = opened(contents, [[f"{index}.png", index // 2] for index in range(6)], on_error="skip")
    images, _ = batching.by_class(source, 3, 0)
    images = images.reshape(3, 3, *source.image_shape)
    for row in images:
        np.testing.assert_array_equal(row[0], pixels[1])
        np.testing.assert_array_equal(row[2], pixels[5])


def test_labels_are_zeros_without_labels(source):
    unlabelled = Source(source.images, source.image_shape, None, 0, (), "")
    labels = batching.batch_at(unlabelled, 0, batch_size=4, seed=0)["labels"]
    np.testing.assert_array_equal(labels, np.zeros(4))
    assert labels.dtype == np.int32


def test_image_that_cannot_be_read_is_named(opened, make_images):
    contents, _ = make_images(5)
    contents["3.png"] = contents["3.png"][:60]
    iterator = batching.batches(opened(contents), batch_size=5, seed=0)
    with pytest.raises(ValueError, match=r"3\.png: .*cannot be decoded"):
        next(iterator)
    iterator.close()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "batch_size: found 0, allowed: a positive multiple of the 1 processes"),
        ({"batch_size": 3, "process_count": 2}, "batch_size: found 3, allowed: a positive multiple of the 2 processes"),
        ({"seed": -1}, r"seed: found -1, allowed: 0 to 2\*\*32 - 1"),
        ({"seed": 2**32}, "seed: found 4294967296, allowed"),
        ({"start": -1}, "start: found -1, allowed: 0 or larger"),
        ({"num_threads": 0}, "num_threads: found 0, allowed: 1 or larger"),
        ({"process_index": 1}, "process_index: found 1, allowed: 0 to process_count - 1 = 0"),
    ],
)
def test_arguments_out_of_range_are_refused_at_once(source, options, message):
    with pytest.raises(ValueError, match=message):
        batching.batches(source, **{"batch_size": 4, "seed": 0, **options})


def test_batch_before_the_first(source):
    with pytest.raises(ValueError, match="step: found -1, allowed: 0 or larger"):
        batching.batch_at(source, -1, batch_size=4, seed=0)


def test_first_images_are_a_fixed_pick_without_repeats(source):
    images, labels = batching.first_images(source, 6, 1)
    again, _ = batching.first_images(source, 6, 1)
    np.testing.assert_array_equal(images, again)
    picked = images[:, 0, 0, 2]
    assert len(set(picked)) == 6
    np.testing.assert_array_equal(labels, picked % 3)
    assert not np.array_equal(images, batching.first_images(source, 6, 2)[0])
    assert batching.first_images(source, 25, 1)[0].shape == (25, 4, 6, 3)


def test_by_class_shows_class_k_in_column_k(source):
    images, labels = batching.by_class(source, 5, 0)
    assert images.shape == (15, 4, 6, 3)
    np.testing.assert_array_equal(labels, np.tile([0, 1, 2], 5))
    picked = images[:, 0, 0, 2]
    np.testing.assert_array_equal(picked % 3, labels)
    assert set(picked) == set(range(COUNT))  # 3 or 4 images a class, all shown before any repeats
    np.testing.assert_array_equal(images, batching.by_class(source, 5, 0)[0])


def test_class_without_images_is_black_and_no_classes_are_refused(source):
    gap = Source(source.images, source.image_shape, source.labels * 2, 5, tuple("abcde"), "")
    images, _ = batching.by_class(gap, 2, 0)
    assert not images.reshape(2, 5, -1)[:, [1, 3]].any()
    with pytest.raises(ValueError, match=r"config\.data\.labels: found ten images, allowed: "):
        batching.by_class(Source(source.images, source.image_shape, None, 0, (), "ten images"), 2, 0)


def test_all_images(source):
    images, labels = batching.all_images(source)
    np.testing.assert_array_equal(images, source.images)
    np.testing.assert_array_equal(labels, source.labels)
    assert labels.dtype == np.int32


@pytest.mark.parametrize("first_image", [0, 7, 12])
def test_batches_of_another_size_go_on_where_the_others_ended(source, first_image):
    """Positions are those of the endless order: which batch size showed the images before does not matter."""
    whole = take(batching.batches(source, batch_size=1, seed=3, mirror=True), 24)
    batches = batching.batches(source, batch_size=4, seed=3, start=1, first_image=first_image, mirror=True)
    for number, batch in enumerate(take(batches, 2), start=1):
        first = first_image + 4 * number
        expected = {name: np.concatenate([one[name] for one in whole[first : first + 4]]) for name in batch}
        assert_equal(batch, expected)


def test_processes_share_batches_that_go_on_somewhere(source):
    batches = lambda **process: batching.batches(source, batch_size=4, seed=3, first_image=5, **process)
    (whole,) = take(batches(), 1)
    parts = [take(batches(process_index=index, process_count=2), 1)[0] for index in range(2)]
    assert_equal(whole, {name: np.concatenate([part[name] for part in parts]) for name in whole})


def test_a_negative_position_is_refused(source):
    with pytest.raises(ValueError, match="first_image: found -1, allowed: 0 or larger"):
        batching.batches(source, batch_size=4, seed=0, first_image=-1)
