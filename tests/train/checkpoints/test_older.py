"""Checkpoints made before a part of the train state existed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans

from flaxgan.train.checkpoints import older
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.step import phases

PATH_LENGTH = {"path_length": {"interval": 2}}
LECAM = {"lecam": {"start_step": None}}


def _abstract(setup):
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    place = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    return jax.tree.map(place, jax.eval_shape(lambda: small_gans.init(setup)))


def _restored(folder, setup):
    """The state restored at step 1, and the lines that were said."""
    lines = []
    checkpoints = Checkpoints(folder, keep=1)
    initial = setup.initial_regularizer_state
    state = checkpoints.restore(1, _abstract(setup), initial=initial, say=lines.append)
    checkpoints.close()
    return state, lines


def _save(folder, setup, state):
    checkpoints = Checkpoints(folder, keep=1)
    checkpoints.save(state.replace(step=jnp.int32(1)), setup.config)
    checkpoints.close()


def _save_as_version_0_1_0(monkeypatch, folder, setup, state, pl_mean):
    """A checkpoint in which `pl_mean` is beside the networks, whether the run has a path length or not."""

    def old(arrays):
        arrays = {**arrays, "pl_mean": np.float32(pl_mean)}
        arrays.pop("regularizers")
        return arrays

    with monkeypatch.context() as patched:
        patched.setattr(older, "saved_part", old)
        _save(folder, setup, state)


def test_the_path_length_mean_of_the_version_before_is_kept(monkeypatch, tmp_path):
    setup = small_gans.setup_of(g_regularizers=PATH_LENGTH)
    state = small_gans.with_pl_mean(small_gans.init(setup), 9.0)
    _save_as_version_0_1_0(monkeypatch, tmp_path / "c", setup, state, 0.7)
    found, lines = _restored(tmp_path / "c", setup)
    assert small_gans.pl_mean(found) == np.float32(0.7) and not lines
    jax.tree.map(np.testing.assert_array_equal, found.d.params, state.d.params)


def test_a_run_without_path_length_has_no_use_for_it(monkeypatch, tmp_path):
    setup = small_gans.setup_of()
    _save_as_version_0_1_0(monkeypatch, tmp_path / "c", setup, small_gans.init(setup), 0.0)
    found, lines = _restored(tmp_path / "c", setup)
    assert found.regularizers == {"g": {}, "d": {}} and not lines


def test_state_that_was_not_saved_begins_at_its_initial_value_which_is_said(monkeypatch, tmp_path):
    setup = small_gans.setup_of(g_regularizers=PATH_LENGTH, d_regularizers=LECAM)
    before = small_gans.setup_of(g_regularizers=PATH_LENGTH)
    _save(tmp_path / "c", before, small_gans.with_pl_mean(small_gans.init(before), 0.3))
    found, (line,) = _restored(tmp_path / "c", setup)
    assert small_gans.pl_mean(found) == np.float32(0.3)
    assert found.regularizers["d"]["lecam"] == {"lecam_real": 0, "lecam_fake": 0, "lecam_updates": 0}
    assert "holds no regularizers/d/lecam/lecam_" in line and "begins at its initial value" in line
    jax.jit(phases.by_name(setup, "d_main").program(0))(found, small_gans.batch(), 0)


def test_state_of_a_regularizer_is_saved_and_restored(tmp_path):
    setup = small_gans.setup_of(d_regularizers=LECAM)
    state = small_gans.init(setup)
    for _ in range(2):
        state, _ = jax.jit(phases.by_name(setup, "d_main").program(0))(state, small_gans.batch(), 0)
    _save(tmp_path / "c", setup, state)
    found, lines = _restored(tmp_path / "c", setup)
    assert not lines and found.regularizers["d"]["lecam"]["lecam_updates"] == 2
    jax.tree.map(np.testing.assert_array_equal, found.regularizers, state.regularizers)


def test_other_arrays_that_are_not_there_are_an_error(tmp_path):
    setup = small_gans.setup_of()
    folder = tmp_path / "c"
    _save(folder, setup, small_gans.init(setup))
    with pytest.raises(ValueError, match="ema/params/Dense_0/bias is absent in the checkpoint"):
        _restored(folder, small_gans.setup_of(style=False))
