"""The endless order of the training images, which is reshuffled in every epoch, and the flip of each image.

Both are pure functions of the seed and the position. They use only the raw words of the Philox generator, which NumPy
guarantees never to change, so that a run continues in the same order with another version of NumPy.
"""

import functools
import threading

import numpy as np

_WORDS_PER_COUNT = 4  # 64-bit words of Philox for each value of its counter
_FLIP_STREAM = 2**64 - 1  # No epoch has this number.

_permutation_lock = threading.Lock()


def image_indices(num_images: int, seed: int, first: int, count: int) -> np.ndarray:
    """Returns the indices of the images at positions first, first + 1, ...

    Args:
      num_images: number of images in the set, which is the length of an epoch.
      seed: the seed, 0 to 2**64 - 1.
      first: the first position, 0 or larger.
      count: number of positions.

    Returns:
      Signed integers [count]. Within an epoch each image occurs once.
    """
    epochs, places = np.divmod(np.arange(first, first + count), num_images)
    parts = [_permutation(num_images, seed, epoch)[places[epochs == epoch]] for epoch in np.unique(epochs).tolist()]
    return np.concatenate(parts)


def flips(seed: int, first: int, count: int) -> np.ndarray:
    """Returns whether the images at positions first, first + 1, ... are flipped with data.mirror, bool [count].

    Each image is flipped with probability 1/2, independently of the order.
    """
    skipped = first % _WORDS_PER_COUNT
    random = _philox(seed, _FLIP_STREAM, first // _WORDS_PER_COUNT)
    return random.random_raw(skipped + count)[skipped:] >> 63 == 1


def _permutation(num_images: int, seed: int, epoch: int) -> np.ndarray:
    with _permutation_lock:  # Many threads reach a new epoch at once, and one of them computes it.
        return _cached_permutation(num_images, seed, epoch)


@functools.lru_cache(maxsize=4)
def _cached_permutation(num_images: int, seed: int, epoch: int) -> np.ndarray:
    words = _philox(seed, epoch).random_raw(num_images)
    return np.argsort(words, kind="stable").astype(np.min_scalar_type(-num_images))


def _philox(seed: int, stream: int, counter: int = 0) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, stream], np.uint64), counter=counter)
