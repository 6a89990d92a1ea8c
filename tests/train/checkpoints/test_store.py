import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans

from flaxgan.train.checkpoints import store
from flaxgan.train.checkpoints.retention import Best, Retention
from flaxgan.train.checkpoints.store import Checkpoints
from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.step import phases


@pytest.fixture(scope="module")
def setup():
    return small_gans.setup_of()


def _state(setup, *, steps: int = 1):
    """A state in which no part is as initialized."""
    state = small_gans.init(setup).replace(input_score=jnp.float32(0.7))
    for phase in phases.build(setup):
        state, _ = jax.jit(phase.program(seed=0))(state, small_gans.batch(), 0)
    ema = jax.tree.map(lambda x: x + 0.5, state.ema)
    return state.replace(step=jnp.int32(steps), images_seen=jnp.int32(8 * steps), ema=ema)


def _assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def saved(setup, tmp_path_factory):
    """(run folder, state) of a checkpoint at step 5."""
    root, state = tmp_path_factory.mktemp("run"), _state(setup, steps=5)
    checkpoints = Checkpoints(root / "checkpoints", keep=2)
    checkpoints.save(state, setup.config)
    checkpoints.close()
    return root, state


def test_restored_state_is_the_saved_one_exactly(setup, saved):
    root, state = saved
    checkpoints = Checkpoints(root / "checkpoints", keep=2)
    assert checkpoints.latest_step() == 5
    restored = checkpoints.restore(5, compilation.abstract_state(setup, device_mesh.data_mesh()))
    checkpoints.close()
    _assert_equal(restored, state)
    assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(restored))


def test_training_may_consume_the_state_while_it_is_saved(setup, tmp_path):
    state = _state(setup)
    expected = jax.tree.map(np.array, state)
    program = jax.jit(phases.build(setup)[0].program(seed=0), donate_argnums=0)
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(state, setup.config)
    for _ in range(5):
        state, _ = program(state, small_gans.batch(), 0)
    checkpoints.wait()
    restored = checkpoints.restore(1, compilation.abstract_state(setup, device_mesh.data_mesh()))
    checkpoints.close()
    _assert_equal(restored, expected)


def test_only_the_latest_are_kept(setup, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest_step() is None
    for step in (1, 2, 3):
        checkpoints.save(small_gans.init(setup).replace(step=jnp.int32(step)), setup.config)
    checkpoints.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_a_smaller_rule_is_followed_at_once_when_asked_for(setup, tmp_path):
    state = small_gans.init(setup)
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        checkpoints.save(state.replace(step=jnp.int32(step)), setup.config)
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.prune()
    checkpoints.close()
    assert [path.name for path in tmp_path.iterdir()] == ["3"]


def test_the_best_and_one_of_each_stretch_are_kept_also_by_the_next_program(setup, tmp_path):
    """What was measured is in the checkpoints; one whose note of it is damaged is not the best."""
    rule = Retention(1, every_images=40, images_at=lambda step: 8 * step, best=Best("frechet", "min"))
    left = lambda: sorted(int(path.name) for path in tmp_path.iterdir())
    state = small_gans.init(setup)

    def save(values: dict[int, float]) -> None:
        checkpoints = Checkpoints(tmp_path, keep=rule)
        for step, value in values.items():
            checkpoints.save(state.replace(step=jnp.int32(step)), setup.config, {"frechet": value, "recall": 0.5})
        checkpoints.close()

    save({1: 3.0, 2: 1.0, 3: 2.0})
    assert left() == [2, 3]
    save({4: 2.0, 6: 4.0, 7: 1.5})
    assert left() == [2, 6, 7]
    (tmp_path / "2" / "manifest" / "metadata").write_text("{")
    save({9: 8.0})
    assert left() == [6, 7, 9]


def test_another_shape_is_refused_by_the_name_of_the_parameter(setup, saved):
    root, _ = saved
    target = compilation.abstract_state(setup, device_mesh.data_mesh())
    kernel = target.d.params["last"]["kernel"]
    wrong = jax.ShapeDtypeStruct((8, 2), kernel.dtype, sharding=kernel.sharding)
    params = {**target.d.params, "last": {**target.d.params["last"], "kernel": wrong}}
    checkpoints = Checkpoints(root / "checkpoints", keep=2)
    with pytest.raises(
        ValueError, match=r"checkpoints/5: d/params/last/kernel is \(8, 1\) in the checkpoint, and \(8, 2\)"
    ):
        checkpoints.restore(5, target.replace(d=target.d.replace(params=params)))
    checkpoints.close()


def test_a_missing_parameter_is_refused_by_its_name(setup, saved):
    root, _ = saved
    target = compilation.abstract_state(setup, device_mesh.data_mesh())
    params = {**target.d.params, "more": target.d.params["last"]}
    checkpoints = Checkpoints(root / "checkpoints", keep=2)
    with pytest.raises(ValueError, match=r"d/params/more/bias is absent in the checkpoint, and \(1,\) in this run"):
        checkpoints.restore(5, target.replace(d=target.d.replace(params=params)))
    checkpoints.close()


def test_arrays_and_config_can_be_read_without_the_code_that_made_them(setup, saved):
    root, state = saved
    folder = store.locate(root)
    assert store.read_config(folder) == setup.config
    _assert_equal(store.read_average(folder), {"params": state.ema.params, "variables": state.ema.variables})
    arrays = store.read_all(folder)
    _assert_equal(arrays["g"]["params"], state.g.params)
    assert (arrays["step"], arrays["images_seen"]) == (5, 40)


def test_run_folder_checkpoints_folder_and_checkpoint_are_located(saved):
    root, _ = saved
    for path in (root, root / "checkpoints", root / "checkpoints" / "5"):
        assert str(store.locate(path)) == str(root / "checkpoints" / "5")


def test_latest_checkpoint_is_located_by_number_not_by_name(tmp_path):
    for step in ("9", "10", "10.orbax-checkpoint-tmp", "notes"):
        (tmp_path / "checkpoints" / step).mkdir(parents=True)
    assert store.locate(tmp_path).name == "10"


def test_a_path_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name, problem in (("missing", "no such file"), ("file", "no checkpoint"), ("empty", "no checkpoint")):
        with pytest.raises(ValueError, match=rf"{name}: .*{problem}.* allowed: a run folder or a checkpoint"):
            store.locate(tmp_path / name)


def test_a_folder_that_only_looks_like_a_checkpoint_is_refused(tmp_path):
    folder = tmp_path / "checkpoints" / "3"
    folder.mkdir(parents=True)
    for read in (store.read_config, store.read_average, store.read_all, store.read_shapes):
        with pytest.raises(ValueError, match="checkpoints/3: not a checkpoint, or not a complete one; allowed: "):
            read(store.locate(tmp_path))


def test_shapes_are_those_of_the_arrays(saved):
    folder = store.locate(saved[0])
    shapes = lambda arrays: jax.tree.map(lambda array: (tuple(array.shape), array.dtype), arrays)
    assert shapes(store.read_shapes(folder)) == shapes(store.read_all(folder))


def test_whether_there_is_a_checkpoint(saved, tmp_path):
    assert store.exists(saved[0]) and not store.exists(tmp_path)


def test_digest_is_sha256_over_names_types_shapes_and_bytes():
    arrays = {"b": np.arange(3, dtype=np.int32), "a": {"c": np.float32([[1, 2]])}}
    text = [b"a/c float32 (1, 2)\n", np.float32([[1, 2]]).tobytes(), b"b int32 (3,)\n", arrays["b"].tobytes()]
    assert store.digest(arrays) == hashlib.sha256(b"".join(text)).hexdigest()


def test_digest_does_not_depend_on_order_or_memory_layout_but_on_every_value():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    digest = store.digest({"x": {"a": values, "b": np.ones(1)}})
    assert store.digest({"x": {"b": np.ones(1), "a": np.asfortranarray(values)}}) == digest
    assert store.digest({"x": {"a": jnp.asarray(values), "b": np.ones(1)}}) == digest
    others = (values + np.float32([[0, 0, 0], [0, 0, 1e-6]]), values.reshape(3, 2), values.astype(np.float64))
    assert digest not in [store.digest({"x": {"a": other, "b": np.ones(1)}}) for other in others]
