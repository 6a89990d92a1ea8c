"""The discriminator that grows; the formulas of its layers are checked by tests/parity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivatives import program
from growing_networks import filled, only, run

from flaxgan.nn.pggan_discriminator import GrowingDiscriminator, GrowingEpilogue
from flaxgan.ops.resampling import box_downsample

NETWORK = GrowingDiscriminator(
    (16, 24, 3), channel_base=64, channel_max=6, mbstd_group_size=2, blur_filter=(1, 2, 1), num_classes=3
)
X = np.random.default_rng(1).uniform(-1, 1, size=(4, 16, 24, 3)).astype(np.float32)
LABELS = jnp.array([0, 2, 1, 1])


@functools.cache
def _variables():
    return filled(NETWORK, X, LABELS)


def test_initialization_makes_the_layers_of_all_stages():
    params = _variables()["params"]
    assert set(_variables()) == {"params"}
    assert set(params) == {"b16", "b8", "b4", "fromrgb16", "fromrgb8", "fromrgb4"}
    assert [params[f"fromrgb{r}"]["weight"].shape for r in (16, 8, 4)] == [(1, 1, 3, 4), (1, 1, 3, 6), (1, 1, 3, 6)]
    assert {name: leaf["weight"].shape for name, leaf in params["b4"].items()} == {
        "conv": (3, 3, 7, 6),
        "fc": (4 * 6 * 6, 6),
        "out": (6, 3),
    }
    assert NETWORK.layers == ("fromrgb16", "b16/conv0", "b16/conv1", "b8/conv0", "b8/conv1")


def test_a_new_block_of_weight_0_is_the_stage_before():
    """With only the layers of the lower stages given to it, the lower stage shows that it needs no others."""
    small = box_downsample(X, 2)
    high = run(NETWORK, _variables(), X, LABELS, jnp.zeros(()), method=_at_stage(2))
    low = run(NETWORK, only(_variables(), "b8", "b4", "fromrgb8"), small, LABELS, stage=1)
    np.testing.assert_allclose(high.logits, low.logits, rtol=1e-4)
    lowest = run(NETWORK, _variables(), small, LABELS, jnp.zeros(()), method=_at_stage(1))
    base = run(NETWORK, only(_variables(), "b4", "fromrgb4"), box_downsample(X, 4), LABELS, stage=0)
    np.testing.assert_allclose(lowest.logits, base.logits, rtol=1e-4)


def test_a_new_block_of_weight_1_is_alone():
    faded = run(NETWORK, _variables(), X, LABELS, jnp.ones(()), method=_at_stage(None))
    alone = run(NETWORK, only(_variables(), "b16", "b8", "b4", "fromrgb16"), X, LABELS)
    np.testing.assert_allclose(faded.logits, alone.logits, rtol=1e-5)
    half = run(NETWORK, _variables(), X, LABELS, jnp.float32(0.5), method=_at_stage(None))
    assert np.max(np.abs(half.logits - alone.logits)) > 1e-3


def _at_stage(stage):
    """A method that takes alpha as its last argument, to be traced."""
    return lambda module, images, labels, alpha: module(images, labels, stage=stage, alpha=alpha)


def test_gradient_penalty_reaches_every_layer_while_fading():
    """Second order: each parameter but the last biases moves the input gradient."""

    def penalty(params, alpha):
        logits = lambda x: jnp.sum(NETWORK.apply({"params": params}, x, LABELS, alpha=alpha).logits)
        return jnp.sum(jnp.square(jax.grad(logits)(X)))

    gradients = program(jax.grad(penalty))(_variables()["params"], 0.5)
    del gradients["fromrgb4"], gradients["b4"]["out"]["bias"]  # The one belongs to another stage.
    weights = [leaf for path, leaf in jax.tree.leaves_with_path(gradients) if path[-1].key == "weight"]
    assert len(weights) == 9 and all(np.all(np.isfinite(leaf)) and np.any(leaf) for leaf in weights)


@pytest.mark.parametrize("options", [{"remat": True}, {"dtype": "bfloat16"}])
def test_same_scores_with_recomputation_and_nearly_in_low_precision(options):
    network = NETWORK.clone(**options)
    expected, found = (run(n, _variables(), X, LABELS).logits for n in (NETWORK, network))
    assert found.dtype == jnp.float32
    tolerance = 1e-5 if "remat" in options else 0.05
    np.testing.assert_allclose(found, expected, atol=tolerance * np.max(np.abs(expected)))
    assert "remat" in options or not np.array_equal(found, expected)


def test_label_forms():
    """The classes' outputs are read from the features: the image's own, or all of them beside the logit."""
    x = X[:, :4, :4]
    one_hot = jax.nn.one_hot(LABELS, 3)
    for form, width in (("select", 3), ("classify", 4)):
        epilogue = GrowingEpilogue(6, 5, num_classes=3, label_form=form, mbstd_group_size=2)
        variables = filled(epilogue, x, one_hot)
        output = run(epilogue, variables, x, one_hot)
        out = variables["params"]["out"]
        y = output.features @ out["weight"] / np.sqrt(5) + out["bias"]
        assert y.shape == (4, width) and output.features.shape == (4, 5)
        if form == "select":
            np.testing.assert_allclose(output.logits, y[np.arange(4), LABELS], rtol=1e-4, atol=1e-5)
            assert output.class_logits is None
        else:
            np.testing.assert_allclose(output.logits, y[:, 0], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(output.class_logits, y[:, 1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "conv_inputs", "out_inputs"),
    [
        ({"mbstd_num_channels": 0}, 3, 5),
        ({"mbstd_num_channels": 3}, 6, 5),
        ({"mbstd_averaging": "all"}, 4, 5),
        ({"mbstd_averaging": "group3"}, 6, 5),
        ({"minibatch_kernels": 7}, 4, 12),
    ],
)
def test_statistics_of_the_batch(options, conv_inputs, out_inputs):
    params = filled(GrowingEpilogue(6, 5, **options), X[:, :4, :4], None)["params"]
    assert params["conv"]["weight"].shape[2] == conv_inputs and params["out"]["weight"].shape == (out_inputs, 1)


def test_statistics_within_classes():
    """An image that is alone in its class has a deviation of 1e-4; two equal ones, too."""
    x = np.concatenate([X[:1, :4, :4]] * 2 + [X[1:3, :4, :4]])
    epilogue = GrowingEpilogue(6, 5, num_classes=3, mbstd_by_class=True)
    variables = filled(epilogue, x, jax.nn.one_hot(LABELS, 3))
    logits = lambda labels: run(epilogue, variables, x, jax.nn.one_hot(jnp.array(labels), 3)).logits
    alone, equal, different = logits([0, 1, 2, 2]), logits([0, 0, 2, 2]), logits([2, 0, 2, 1])
    np.testing.assert_allclose(alone[2:], equal[2:], rtol=1e-5)
    assert np.abs(different[2] - equal[2]) > 1e-4
    np.testing.assert_allclose(alone[0], equal[0], rtol=1e-5)


def test_wrong_arguments_are_refused():
    call = lambda *arguments, **keywords: jax.eval_shape(functools.partial(NETWORK.apply, **keywords), *arguments)
    with pytest.raises(ValueError, match="images: found shape .*, allowed: .*the size of the stage"):
        call(_variables(), X, LABELS, stage=1)
    with pytest.raises(ValueError, match="stage: found 3"):
        call(_variables(), X, LABELS, stage=3)
    with pytest.raises(ValueError, match="labels: found None"):
        call(_variables(), X)
    with pytest.raises(ValueError, match="label_form: found 'project', allowed: select, classify"):
        jax.eval_shape(NETWORK.clone(label_form="project").init, jax.random.key(0), X, LABELS)
