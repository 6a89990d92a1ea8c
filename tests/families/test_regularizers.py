"""Every regularizer on every family that it fits: a finite value, and a finite gradient of the network that it is for.

Penalties of input gradients and of Jacobians are differentiated once more for it, through every layer of the family.
"""

import dataclasses

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs

from flaxgan import lookup, prng
from flaxgan.losses import regularizers
from flaxgan.train.step import binding, objectives, phases, training_setup
from flaxgan.train.step.loss_context import Reals

NAMES = lookup.function_names(regularizers)
FIELDS = {"g": "g_regularizers", "d": "d_regularizers"}
SETTINGS = {"lecam": {"start_step": None}}  # By default its penalty is 0 in the first thousand steps.
STATE = {"lecam_real": 10.0, "lecam_fake": -10.0, "lecam_updates": 100.0}  # Logits in the wrong order cost nothing.


def _with(family: str, network: str, names: list[str]) -> training_setup.TrainingSetup:
    """The family with these regularizers of a network, whatever its recipe has.

    Raises:
      ValueError: if one of them does not fit.
    """
    built = contracts.build(family)
    fields = {**dict.fromkeys(FIELDS.values(), {}), FIELDS[network]: {name: SETTINGS.get(name, {}) for name in names}}
    config = binding.complete(dataclasses.replace(built.config, **fields))
    return binding.build(config, contracts.image_shape(config)).at(len(built.stages) - 1)


def _fits(family: str, network: str, name: str) -> bool:
    try:
        _with(family, network, [name])
    except ValueError as error:
        assert f"config.{FIELDS[network]}: found '{name}'" in str(error)
        return False
    return True


def _observed(family: str, network: str, names: list[str]) -> dict:
    """Name -> the penalty and the norm of its gradient, all by one program."""
    built, state = _with(family, network, names), contracts.disturbed_state(family)
    own = {
        network: {
            one: {key: jnp.float32(STATE.get(key, value)) for key, value in state.items()}
            for one, state in of_network.items()
        }
        for network, of_network in built.initial_regularizer_state.items()
    }
    state = state.replace(regularizers=own)
    main = next(phase for phase in phases.build(built) if phase.name in (f"{network}_main", "joint"))
    random = np.random.default_rng(0)
    count, labels = built.batch_size(network), max(built.gan.num_classes, 1)
    images = jnp.asarray(random.uniform(-1, 1, (count, *built.stage.image_shape)), jnp.float32)
    reals = Reals(images, jnp.arange(count, dtype=jnp.int32) % labels)

    def observe(state, reals):
        inputs = jax.tree.map(lambda x: x[0], main.draw(prng.step_key(0, state.step, "test")))
        found = {}
        for one in built.regularizers.of(network):
            loss = objectives.regularizer(built, network, one)
            (value, _), gradient = jax.value_and_grad(loss, has_aux=True)(
                getattr(state, network).params, state, reals, inputs
            )
            found[one.name] = value, jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradient)))
        return found

    with tiny_runs.quick_compilation():
        return jax.device_get(jax.jit(observe)(state, reals))


@pytest.mark.parametrize("network", FIELDS)
@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_value_and_gradient_are_finite_and_not_zero(family, network):
    names = [name for name in NAMES if _fits(family, network, name)]
    assert names  # Orthogonal, for one, asks for nothing but parameters.
    for name, (value, norm) in _observed(family, network, names).items():
        assert np.isfinite(value) and value != 0, name
        assert np.isfinite(norm) and norm > 0, name


@pytest.mark.parametrize("name", NAMES)
def test_each_regularizer_fits_a_network_of_some_family(name):
    assert any(_fits(family, network, name) for family in contracts.FAMILIES for network in FIELDS)
