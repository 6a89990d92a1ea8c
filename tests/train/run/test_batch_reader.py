import chex
import jax
import numpy as np
import pytest
import small_gans

from flaxgan.data import open_source
from flaxgan.data.pipeline import worker_processes
from flaxgan.train.distributed import device_mesh
from flaxgan.train.run.batch_reader import BatchReader


@pytest.fixture(scope="module")
def source():
    return open_source("digits", "", num_classes=10)


def test_batches_on_the_devices_are_the_whole_ones_from_any_step_on(source):
    """Two batches belong to each step."""
    setup = small_gans.setup_of(d_steps=2)
    reader = BatchReader.from_config(setup.config, source)
    with reader.on_devices(setup.stage, 3, device_mesh.data_mesh()) as batches:
        found = [jax.device_get(next(batches)) for _ in range(4)]
    whole = [reader.whole(setup.stage, step, repeat) for step in (3, 4) for repeat in (0, 1)]
    chex.assert_trees_all_equal(found, whole)
    assert not np.array_equal(whole[0]["images"], whole[1]["images"])


def test_worker_processes_are_kept_busy_by_more_threads(source):
    threads = []
    for workers in ("threads", "processes"):
        data = {"source": "digits", "num_threads": 3, "workers": workers}
        config = small_gans.config(data=small_gans.DataConfig(**data), network={"name": "stylegan2"})
        threads.append(BatchReader.from_config(config, source).num_threads)
    assert threads == [3, 3 * worker_processes.LINES]
