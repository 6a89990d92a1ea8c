"""The mapping network."""

import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxgan.nn.mapping import MappingNetwork

Z = jax.random.normal(jax.random.key(0), (6, 5))
LABELS = jnp.array([0, 1, 2, 0, 1, 2])
NETWORK = MappingNetwork(z_dim=5, num_classes=3, w_dim=4, num_ws=3, num_layers=2, embed_features=6, layer_features=7)


@functools.cache
def _variables():
    variables = jax.jit(NETWORK.init)(jax.random.key(1), Z, LABELS)
    variables["buffers"]["w_avg"] = jnp.arange(4.0)
    return variables


def test_formula_in_float64():
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), _variables()["params"])
    normalized = lambda x: x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
    embedded = params["embed"]["weight"][np.asarray(LABELS)] / np.sqrt(3) + params["embed"]["bias"]
    x = np.concatenate([normalized(np.asarray(Z, np.float64)), normalized(embedded)], axis=1)
    assert [layer["weight"].shape for layer in params.values()] == [(3, 6), (11, 7), (7, 4)]
    for name in ("fc0", "fc1"):
        x = x @ (params[name]["weight"] * 0.01 / np.sqrt(x.shape[1])) + params[name]["bias"] * 0.01
        x = np.where(x > 0, x, 0.2 * x) * np.sqrt(2)
    ws = jax.jit(NETWORK.apply)(_variables(), Z, LABELS)
    np.testing.assert_allclose(ws, np.repeat(x[:, None], 3, axis=1), rtol=1e-4, atol=1e-5)


def test_truncation_moves_the_first_layers_towards_the_average():
    plain = NETWORK.apply(_variables(), Z, LABELS)
    truncate = jax.jit(
        lambda psi: NETWORK.apply(_variables(), Z, LABELS, truncation_psi=psi, truncation_cutoff=2)
    )  # psi is traced here
    expected = np.arange(4.0) + 0.3 * (np.asarray(plain) - np.arange(4.0))
    np.testing.assert_allclose(truncate(0.3)[:, :2], expected[:, :2], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(truncate(0.3)[:, 2:], plain[:, 2:], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(truncate(1.0), plain, rtol=1e-5, atol=1e-5)


def test_average_follows_the_batch_before_truncation():
    plain = NETWORK.apply(_variables(), Z, LABELS)
    mean = np.mean(plain[:, 0], axis=0)
    expected = mean + 0.995 * (np.arange(4.0) - mean)
    arguments = {"update_w_avg": True, "truncation_psi": 0.0, "mutable": ["buffers"]}
    ws, updated = NETWORK.apply(_variables(), Z, LABELS, **arguments)
    np.testing.assert_allclose(updated["buffers"]["w_avg"], expected, rtol=1e-5)
    np.testing.assert_allclose(ws, np.broadcast_to(expected, (6, 3, 4)), rtol=1e-5)


def test_average_passes_no_gradient():
    def average(params):
        variables = {**_variables(), "params": params}
        _, updated = NETWORK.apply(variables, Z, LABELS, update_w_avg=True, mutable=["buffers"])
        return updated["buffers"]["w_avg"].sum()

    gradients = jax.jit(jax.grad(average))(_variables()["params"])
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_initialization_does_not_move_the_average():
    variables = NETWORK.init(jax.random.key(1), Z, LABELS, update_w_avg=True)
    assert not np.any(variables["buffers"]["w_avg"])


def test_updating_immutable_buffers_is_an_error():
    with pytest.raises(flax.errors.ModifyScopeVariableError):
        NETWORK.apply(_variables(), Z, LABELS, update_w_avg=True)


def test_labels_alone_give_one_style_and_need_no_buffers():
    network = MappingNetwork(z_dim=0, num_classes=3, w_dim=4, num_ws=None, num_layers=1, w_avg_beta=None)
    w, variables = network.init_with_output(jax.random.key(0), None, LABELS)
    assert w.shape == (6, 4) and "buffers" not in variables
    np.testing.assert_array_equal(w[0], w[3])


def test_unconditional_network_ignores_labels():
    network = NETWORK.clone(num_classes=0)
    ws, variables = network.init_with_output(jax.random.key(0), Z)
    assert "embed" not in variables["params"]
    np.testing.assert_array_equal(ws, network.apply(variables, Z, LABELS))


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        ({}, (Z[:, :4], LABELS), r"z: found shape \(6, 4\), allowed: .*\[N, 5\]"),
        ({}, (None, LABELS), "z: found None"),
        ({}, (Z,), "labels: found None"),
        ({"z_dim": 0, "num_classes": 0}, (None,), "z_dim, num_classes"),
    ],
)
def test_wrong_inputs_are_refused(fields, arguments, message):
    with pytest.raises(ValueError, match=message):
        NETWORK.clone(**fields).init(jax.random.key(0), *arguments)


@pytest.mark.parametrize("arguments", [{"truncation_psi": 0.5}, {"update_w_avg": True}])
def test_network_without_average_can_neither_truncate_nor_update(arguments):
    network = NETWORK.clone(w_avg_beta=None)
    variables = {"params": _variables()["params"]}
    (name,) = arguments
    with pytest.raises(ValueError, match=f"^{name}: found {arguments[name]}, allowed: .* without w_avg"):
        network.apply(variables, Z, LABELS, **arguments)
