import gc
import itertools
import threading

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from flaxgan.data.pipeline import batching
from flaxgan.data.pipeline.device_prefetch import prefetch


@pytest.fixture
def sharding():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec("data"))


def batch(value):
    size = 2 * jax.device_count()
    rows = {"images": np.full((size, 4, 4, 3), value, np.uint8), "labels": np.full(size, value, np.int32)}
    return {**rows, "flip": np.arange(size) % 2 == 0}


def prefetch_threads():
    return [thread for thread in threading.enumerate() if thread.name == "flaxgan-prefetch"]


class Recorder:
    """An iterator over numbered batches that knows how many were taken and whether it was closed."""

    def __init__(self, count=None, error=None):
        self.taken, self.closed, self._count, self._error = 0, False, count, error
        self.reached = threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        if self.taken == self._count:
            if self._error:
                raise self._error
            raise StopIteration
        self.taken += 1
        if self.taken >= 3:
            self.reached.set()
        return batch(self.taken - 1)

    def close(self):
        self.closed = True


def test_batches_become_global_arrays_in_order(sharding):
    with prefetch(iter([batch(value) for value in range(4)]), sharding) as batches:
        for value, arrays in enumerate(batches):
            assert arrays["images"].sharding == arrays["labels"].sharding == sharding
            for name, rows in batch(value).items():
                assert isinstance(arrays[name], jax.Array) and arrays[name].dtype == rows.dtype
                np.testing.assert_array_equal(arrays[name], rows)
        assert value == 3
    assert not prefetch_threads()


def test_end_of_the_iterator_is_the_end(sharding):
    source = Recorder(count=2)
    batches = prefetch(source, sharding)
    assert len(list(batches)) == 2
    with pytest.raises(StopIteration):
        next(batches)
    assert source.closed and not prefetch_threads()


def test_only_a_few_batches_are_read_ahead(sharding):
    source = Recorder()
    with prefetch(source, sharding, size=2) as batches:
        assert source.reached.wait(10)  # two are ready and the third waits to be put
        assert source.taken == 3
        next(batches)
    assert source.taken <= 4 and source.closed


def test_error_is_raised_by_the_next_that_would_have_given_the_batch(sharding):
    batches = prefetch(Recorder(count=2, error=ValueError("a.png: damaged")), sharding)
    next(batches), next(batches)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"a\.png: damaged"):
            next(batches)
    assert not prefetch_threads()


def test_batch_that_cannot_be_placed_is_an_error(sharding):
    without_leading_axis = {"labels": np.int32(0)}
    with prefetch(iter([without_leading_axis]), sharding) as batches, pytest.raises(ValueError):
        next(batches)


def test_closing_stops_thread_and_iterator_and_may_be_repeated(sharding):
    source = Recorder()
    batches = prefetch(source, sharding)
    next(batches)
    batches.close()
    batches.close()
    assert source.closed and not prefetch_threads()
    with pytest.raises(RuntimeError, match="closed"):
        next(batches)


def test_an_error_of_the_consumer_closes_too(sharding):
    source = Recorder()
    with pytest.raises(KeyError), prefetch(source, sharding):
        raise KeyError
    assert source.closed and not prefetch_threads()


def test_forgetting_it_ends_the_thread(sharding):
    source = Recorder()
    batches = prefetch(source, sharding)
    next(batches)
    del batches
    gc.collect()
    assert source.closed and not prefetch_threads()


def test_waiting_is_measured(sharding):
    release = threading.Event()

    def slow():
        release.wait(10)
        yield batch(0)

    with prefetch(slow(), sharding) as batches:
        assert batches.waited_seconds == 0
        threading.Timer(0.2, release.set).start()
        next(batches)
        assert batches.waited_seconds > 0.1


def test_size_must_be_positive(sharding):
    with pytest.raises(ValueError, match="size: found 0, allowed: 1 or larger"):
        prefetch(iter([]), sharding, size=0)


def test_with_the_pipeline(sharding, digits):
    options = {"batch_size": 4 * jax.device_count(), "seed": 0, "mirror": True}
    with prefetch(batching.batches(digits, start=3, **options), sharding) as batches:
        for step, arrays in enumerate(itertools.islice(batches, 3), 3):
            expected = batching.batch_at(digits, step, **options)
            assert arrays.keys() == expected.keys()
            for name in expected:
                np.testing.assert_array_equal(arrays[name], expected[name])
