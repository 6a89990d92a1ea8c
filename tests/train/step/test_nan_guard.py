import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_gans

from flaxgan.train.distributed import device_mesh
from flaxgan.train.programs import compilation
from flaxgan.train.step import nan_guard, phases


def _equal(a, b) -> bool:
    return jax.tree.all(jax.tree.map(lambda x, y: bool(np.array_equal(x, y)), a, b))


def _zero_root(real, fake):
    """A loss of zero whose gradient is not finite, as that of a norm in the origin."""
    root = lambda x: jnp.sqrt(jnp.square(x - jax.lax.stop_gradient(x)))
    return root(real) + root(fake), root(fake)


def _run(program, state, all_finite=True):
    return jax.jit(nan_guard.guarded(program))(state, jnp.bool_(all_finite), small_gans.batch(), 0)


@pytest.mark.parametrize("name, network", [("g_main", "g"), ("d_main", "d")])
def test_a_gradient_that_is_not_finite_changes_nothing_though_the_loss_is_zero(name, network):
    setup = small_gans.with_loss(small_gans.setup_of(), _zero_root)
    state = small_gans.init(setup)
    after, all_finite, scalars = _run(phases.by_name(setup, name).program(0), state)
    assert not all_finite and scalars["loss"] == 0 and not np.isfinite(scalars["gradient_norm"])
    assert _equal(after, state)


def test_parameters_that_an_optimizer_overthrows_are_not_taken_over():
    setup = small_gans.setup_of(optimizer=optax.sgd(1e38), g_regularizers={})
    state = small_gans.init(setup)
    state = state.replace(d=state.d.replace(params=jax.tree.map(lambda x: x + 30, state.d.params)))
    program = phases.by_name(setup, "d_main").program(0)
    huge = lambda *arguments: (_scaled(program(*arguments)), {})
    after, all_finite, scalars = _run(huge, state)
    assert not all_finite and scalars == {} and _equal(after, state)


def _scaled(result):
    state, _ = result
    return state.replace(d=state.d.replace(params=jax.tree.map(lambda x: x * 1e38, state.d.params)))


def test_statistics_that_are_not_finite_are_not_taken_over():
    state = small_gans.init(small_gans.setup_of(g_regularizers={"path_length": {}}))
    program = lambda state, batch, repeat: (small_gans.with_pl_mean(state, jnp.inf), {"loss": jnp.ones(1)})
    after, all_finite, _ = _run(program, state)
    assert not all_finite and small_gans.pl_mean(after) == 0


def test_what_is_finite_is_the_same_with_and_without_the_guard():
    setup = small_gans.setup_of()
    state, program = small_gans.init(setup), phases.by_name(setup, "d_main").program(0)
    plain, expected = jax.jit(program)(state, small_gans.batch(), 0)
    after, all_finite, scalars = _run(program, state)
    assert all_finite and _equal(after, plain) and _equal(scalars, expected)


def test_once_something_was_not_finite_all_programs_wait():
    setup, mesh = small_gans.setup_of(style=False), device_mesh.data_mesh()
    state = compilation.init_state(setup, mesh)
    before, all_finite = jax.device_get(state), np.bool_(False)
    for program in compilation.compile_all(setup, mesh, say=lambda text: None):
        if program.name == "advance":
            state = program.run(state, all_finite)
        else:
            batch = jax.device_put(small_gans.batch(), device_mesh.batched(mesh))
            state, all_finite, _ = program.run(state, all_finite, batch, np.int32(0))
            assert not all_finite
    assert _equal(state, before)


def test_integers_are_finite_and_nothing_is():
    assert nan_guard.is_finite({"step": jnp.int32(3)}) and nan_guard.is_finite({})
    assert not nan_guard.is_finite([jnp.ones(3), jnp.array([0, np.nan], jnp.bfloat16)])
