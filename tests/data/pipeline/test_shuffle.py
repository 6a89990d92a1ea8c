import concurrent.futures

import numpy as np
import pytest

from flaxgan.data.pipeline import shuffle

EXPECTED_ORDER = [7, 1, 6, 4, 3, 5, 9, 0, 2, 8, 4, 9, 5, 3, 0, 2, 7, 1, 6, 8]
EXPECTED_FLIPS = [0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("num_images", [1, 2, 7, 300])
def test_every_epoch_has_every_image_once(num_images):
    epochs = shuffle.image_indices(num_images, 0, 0, 5 * num_images).reshape(5, num_images)
    np.testing.assert_array_equal(np.sort(epochs, 1), np.tile(np.arange(num_images), (5, 1)))


def test_any_stretch_is_a_part_of_the_whole():
    whole, flipped = shuffle.image_indices(7, 3, 0, 60), shuffle.flips(3, 0, 60)
    for first in (0, 1, 6, 7, 13, 50):
        np.testing.assert_array_equal(shuffle.image_indices(7, 3, first, 10), whole[first : first + 10])
        np.testing.assert_array_equal(shuffle.flips(3, first, 10), flipped[first : first + 10])


def test_positions_far_away():
    first = 2**40
    np.testing.assert_array_equal(shuffle.image_indices(5, 0, first + 3, 4), shuffle.image_indices(5, 0, first, 7)[3:])
    np.testing.assert_array_equal(shuffle.flips(0, first + 3, 4), shuffle.flips(0, first, 7)[3:])


def test_epochs_and_seeds_are_not_alike():
    epochs = np.concatenate([shuffle.image_indices(300, seed, 0, 1200).reshape(4, 300) for seed in (0, 1)])
    alike = np.corrcoef(np.concatenate([epochs, np.arange(300)[None]]))
    assert np.abs(alike - np.eye(9)).max() < 0.25  # four standard deviations of 1 / sqrt(300)


def test_flips_are_fair_and_independent():
    flipped = np.stack([shuffle.flips(seed, 0, 20_000) for seed in (0, 1)]).astype(float)
    np.testing.assert_allclose(flipped.mean(1), 0.5, atol=0.015)
    assert abs(np.corrcoef(flipped)[0, 1]) < 0.03
    assert abs(np.corrcoef(flipped[0, 1:], flipped[0, :-1])[0, 1]) < 0.03


def test_order_never_changes_between_versions():
    # A change here would change the images that a resumed run sees.
    np.testing.assert_array_equal(shuffle.image_indices(10, 42, 0, 20), EXPECTED_ORDER)
    np.testing.assert_array_equal(shuffle.flips(42, 0, 16), EXPECTED_FLIPS)


def test_threads_that_reach_an_epoch_together_agree():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: shuffle.image_indices(5000, 9, 4990, 20), range(16)))
    assert all(np.array_equal(found[0], other) for other in found)
