import json
import shutil
import subprocess
import sys

import chex
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
    chex.assert_trees_all_equal(loaded.average.params, arrays["params"])
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
        ("network", "z_dim", "8", "config.network.z_dim: found '8', allowed: an integer"),
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
    chex.assert_trees_all_equal(found["params"], arrays["params"])


def test_discriminator_of_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no checkpoint"):
        trained.load_discriminator(tmp_path)


LOADS = """
import asyncio, json, logging, os, signal, sys, threading, time, warnings
import jax
from flaxgan.train import trained
from flaxgan.train.checkpoints import store

def state():
    named = {name: logging.getLogger(name) for name in sorted(logging.root.manager.loggerDict)}
    levels = {name: (x.level, x.disabled, x.propagate, x.filters, x.handlers) for name, x in named.items()}
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook, logging.lastResort
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    return {
        "loggers": repr(levels), "root": repr((logging.root.level, logging.root.handlers, logging.root.filters)),
        "hooks": repr(hooks), "warnings": repr(warnings.filters), "signals": repr(handlers),
        "environment": dict(os.environ), "jax": repr(sorted(jax.config.values.items())),
        "loop": repr(asyncio.get_event_loop_policy().__class__),
    }

jax.devices()
before = state()
trained.load(sys.argv[1])
trained.load_discriminator(sys.argv[1])
assert state() == before
try:
    store.read_all(store.locate(sys.argv[2]))
except ValueError as error:
    print(error)
deadline = time.monotonic() + 120
while (after := state()) != before and time.monotonic() < deadline:
    time.sleep(0.1)  # Reads of the damaged one end.
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""


def test_loading_leaves_the_state_of_the_process_as_it_was(tiny_run, tmp_path):
    """Loggers, hooks, warning filters, signal handlers, environment and JAX config, also after a damaged checkpoint."""
    shutil.copytree(tiny_run.workdir / "checkpoints" / "12", tmp_path / "12")
    (tmp_path / "12" / "train" / "manifest.ocdbt").write_bytes(b"")
    command = [sys.executable, "-c", LOADS, str(tiny_run.workdir), str(tmp_path)]
    done = subprocess.run(command, env=tiny_runs.environment(), cwd=tiny_runs.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    damage, changed = done.stdout.splitlines()
    assert "damaged" in damage and json.loads(changed) == {} and done.stderr == ""
