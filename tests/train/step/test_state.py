import jax
import numpy as np
import small_gans

from flaxgan.train.step import state


def _equal(a, b) -> list[bool]:
    return jax.tree.leaves(jax.tree.map(lambda x, y: bool(np.array_equal(x, y)), a, b))


def test_state_is_a_pure_function_of_the_seed():
    setup = small_gans.setup_of()
    one, same, other = (state.init(setup.gan, setup.optimizers, seed=seed) for seed in (1, 1, 2))
    assert all(_equal(one, same))
    assert not all(_equal(one.g.params, other.g.params)) and not all(_equal(one.d.params, other.d.params))


def test_average_starts_as_a_copy_of_the_generator_in_memory_of_its_own():
    start = small_gans.init(small_gans.setup_of())
    assert all(_equal((start.g.params, start.g.variables), (start.ema.params, start.ema.variables)))
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((start.g, start.ema))]
    assert len(set(pointers)) == len(pointers)


def test_everything_starts_at_zero_but_the_networks_and_the_given_p():
    setup = small_gans.setup_of()
    start = state.init(setup.gan, setup.optimizers, seed=0, augment_p=0.25)
    assert (start.step, start.images_seen, start.ada.p) == (0, 0, 0.25)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(start))


def test_generator_variables_are_what_its_apply_takes():
    setup = small_gans.setup_of()
    start = small_gans.init(setup)
    ws = setup.gan.generator.apply(start.generator_variables, np.zeros((2, 5)), method="map")
    assert ws.shape == (2, 3, 6)


def test_restarted_optimizers_are_those_of_a_new_run_and_nothing_else_changes():
    setup = small_gans.setup_of()
    start = small_gans.init(setup)
    moved = jax.tree.map(lambda x: x + 1, start)
    found = state.restart_optimizers(moved, setup.optimizers)
    for network in ("g", "d"):
        assert all(_equal(getattr(found, network).opt_state, getattr(start, network).opt_state))
        assert not any(_equal(getattr(moved, network).opt_state, getattr(start, network).opt_state))
        assert all(_equal(getattr(found, network).params, getattr(moved, network).params))
    assert all(_equal((found.ema, found.step, found.ada), (moved.ema, moved.step, moved.ada)))
