import json
import shutil

import jax
import numpy as np
import pytest
import tiny_runs

from flaxgan.train import trained
from flaxgan.train.checkpoints import store
from flaxgan.train.step.state import Average


def test_average_and_networks_of_a_run(tiny_run):
    loaded = trained.load(tiny_run.workdir)
    arrays = store.read_all(store.locate(tiny_run.workdir))["ema"]
    assert isinstance(loaded.average, Average)
    jax.tree.map(np.testing.assert_array_equal, loaded.average.params, arrays["params"])
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(loaded.average))
    assert loaded.config.data.resolution == (8, 8) and loaded.gan.num_classes == 2
    z, labels = np.zeros((1, 8), np.float32), np.zeros(1, np.int32)
    images = tiny_runs.images(loaded, z, labels, noise_mode="const")
    assert images.shape == (1, 8, 8, 3) and np.all(np.isfinite(images))


def test_one_checkpoint_of_a_run(tiny_run):
    first, last = (trained.load(tiny_run.workdir / "checkpoints" / step) for step in ("6", "12"))
    same = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), first.average.params, last.average.params)
    assert not any(jax.tree.leaves(same))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no checkpoint"):
        trained.load(tmp_path)


@pytest.mark.parametrize(
    "field, name, value, message",
    [
        ("network", "z_dim", "8", "config.network: z_dim: found '8', allowed: an integer"),
        ("data", "resolution", None, "config.data.resolution: found None, allowed"),
    ],
)
def test_a_config_that_cannot_be_built_is_named(tiny_run, tmp_path, field, name, value, message):
    shutil.copytree(tiny_run.workdir / "checkpoints" / "12", tmp_path / "12")
    file = tmp_path / "12" / "config" / "metadata"
    config = json.loads(file.read_text())
    config[field][name] = value
    file.write_text(json.dumps(config))
    with pytest.raises(ValueError) as error:
        trained.load(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/12/config: {message}")


def test_discriminator_of_a_run(tiny_run):
    """It has no variables but its parameters, and is applied as it is."""
    found = trained.load_discriminator(tiny_run.workdir)
    arrays = store.read_all(store.locate(tiny_run.workdir))["d"]
    assert set(found) == {"params"} and all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(found))
    jax.tree.map(np.testing.assert_array_equal, found["params"], arrays["params"])


def test_discriminator_of_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no checkpoint"):
        trained.load_discriminator(tmp_path)
