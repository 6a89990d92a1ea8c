import json
import pathlib
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans

from flaxgan.train.checkpoints import integrity, manifest, store
from flaxgan.train.checkpoints.store import Checkpoints, SaveError


@pytest.fixture(scope="module")
def setup():
    return small_gans.setup_of()


def _state(setup, step: int):
    return small_gans.init(setup).replace(step=jnp.int32(step))


def test_training_goes_on_while_checksums_are_computed_and_no_checkpoint_is_complete_without_them(
    setup, tmp_path, monkeypatch
):
    """The state is consumed meanwhile, as a training step consumes it."""
    begun, may_end, compute = threading.Event(), threading.Event(), integrity.checksums

    def slow(arrays):
        begun.set()
        assert may_end.wait(60)
        return compute(arrays)

    monkeypatch.setattr(integrity, "checksums", slow)
    state = _state(setup, 1)
    expected = {"/".join(("g", "params", *path)): x for path, x in _flat(state.g.params).items()}
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(state, setup.config)
    jax.block_until_ready(jax.jit(lambda of: jax.tree.map(jnp.zeros_like, of), donate_argnums=0)(state))
    assert begun.wait(60) and store.steps(checkpoints._folder) == []
    may_end.set()
    checkpoints.close()
    monkeypatch.undo()
    sums = json.loads((tmp_path / "1" / "manifest" / "metadata").read_text())["checksums"]
    assert {name: sums[name] for name in expected} == integrity.checksums(expected)
    store.read_all(store.locate(tmp_path))


def _flat(tree) -> dict[tuple[str, ...], np.ndarray]:
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return {tuple(key.key for key in path): np.array(x) for path, x in paths}


def test_without_checksums_nothing_is_saved(setup, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(_state(setup, 1), setup.config)
    checkpoints.wait()

    def fail(arrays):
        raise MemoryError("no memory for the checksums")

    monkeypatch.setattr(integrity, "checksums", fail)
    checkpoints.save(_state(setup, 2), setup.config)
    with pytest.raises(SaveError, match="step 2 cannot be saved: MemoryError: no memory for the checksums; .* step 1"):
        checkpoints.wait()
    checkpoints.close()
    assert store.steps(checkpoints._folder) == [1]


def test_files_of_a_checkpoint_are_those_of_orbax(setup, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(_state(setup, 3), setup.config, {"frechet": 2.0})
    checkpoints.close()
    folder = pathlib.Path(tmp_path / "3")
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"config", "ema", "manifest", "train"}
    found = json.loads((folder / "manifest" / "metadata").read_text())
    assert list(found) == ["checksums", "measured"] and found["measured"] == {"frechet": 2.0}
    handlers = json.loads((folder / "_CHECKPOINT_METADATA").read_text())["item_handlers"]
    assert handlers["manifest"] == handlers["config"]


def test_arrays_on_the_host_are_copied_because_their_owner_may_change_them():
    array = np.zeros(3, np.float32)
    copies = manifest.save_args({"a": {"b": array, "c": jnp.arange(2)}}, {}).item["checksums"]
    array += 1
    np.testing.assert_array_equal(copies["a"]["b"], np.zeros(3))
    np.testing.assert_array_equal(copies["a"]["c"], [0, 1])
