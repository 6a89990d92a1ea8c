"""What every family's two networks promise to the trainer and to samplers."""

import functools

import contracts
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs

COUNT = 8


@functools.cache
def _observed(family: str) -> dict:
    """What the networks return, by one program for each, on networks without special values."""
    built = contracts.build(family)
    gan, state = built.gan, contracts.disturbed_state(family)
    random = np.random.default_rng(3)
    z = jnp.asarray(random.normal(size=(2, COUNT, gan.z_dim)), jnp.float32)
    images = jnp.asarray(random.uniform(-1, 1, (COUNT, *gan.image_shape)), jnp.float32)
    labels = jnp.arange(COUNT, dtype=jnp.int32)
    g_variables = {"params": state.g.params, **state.g.variables}
    d_variables = {"params": state.d.params, **state.d.variables}
    arguments = lambda labels, train, variables: {
        "labels": labels if gan.num_classes else None,
        "train": train,
        "mutable": list(variables),
    }

    @functools.partial(jax.jit, static_argnames="train")
    def generator(variables, z, labels, key, *, train):
        chosen = arguments(labels, train, state.g.variables)
        return gan.generator.apply(variables, z, rngs={"noise": key}, **chosen)

    @functools.partial(jax.jit, static_argnames="train")
    def discriminator(variables, images, labels, *, train):
        return gan.discriminator.apply(variables, images, **arguments(labels, train, state.d.variables))

    key, other_key = jax.random.split(jax.random.key(5))
    with tiny_runs.quick_compilation():
        return jax.device_get(
            {
                "variables": {"g": state.g.variables, "d": state.d.variables},
                "g": {
                    "eval": generator(g_variables, z[0], labels, key, train=False),
                    "again": generator(g_variables, z[0], labels, key, train=False),
                    "other z": generator(g_variables, z[1], labels, key, train=False),
                    "other labels": generator(g_variables, z[0], labels[::-1], key, train=False),
                    "other key": generator(g_variables, z[0], labels, other_key, train=False),
                    "train": generator(g_variables, z[0], labels, key, train=True),
                },
                "d": {
                    "eval": discriminator(d_variables, images, labels, train=False),
                    "other labels": discriminator(d_variables, images, labels[::-1], train=False),
                    "train": discriminator(d_variables, images, labels, train=True),
                },
            }
        )


def _images(family: str, which: str) -> np.ndarray:
    return _observed(family)["g"][which][0]


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_images_have_the_shape_of_the_data_and_are_finite(family):
    shape = (COUNT, *contracts.build(family).gan.image_shape)
    for which, (images, _) in _observed(family)["g"].items():
        assert images.shape == shape and images.dtype == np.float32 and np.isfinite(images).all(), which


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_each_image_has_a_finite_logit(family):
    for which, (output, _) in _observed(family)["d"].items():
        assert output.logits.shape == (COUNT,) and output.logits.dtype == np.float32, which
        assert np.isfinite(output.logits).all() and np.ptp(output.logits) > 0, which
        assert output.features is None or output.features.shape[0] == COUNT, which
        assert output.features is None or output.features.ndim == 2, which


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_an_encoder_estimates_a_whole_latent(family):
    gan = contracts.build(family).gan
    if gan.encodes:
        assert _observed(family)["d"]["eval"][0].features.shape == (COUNT, gan.z_dim)


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_the_image_is_a_function_of_latent_label_and_key(family):
    np.testing.assert_array_equal(_images(family, "again"), _images(family, "eval"))
    different = np.abs(_images(family, "other z") - _images(family, "eval")).max(axis=(1, 2, 3))
    assert (different > 1e-4).all()


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_labels_change_images_and_logits_of_conditional_families_alone(family):
    images, other = _images(family, "eval"), _images(family, "other labels")
    logits, other_logits = (_observed(family)["d"][which][0].logits for which in ("eval", "other labels"))
    if contracts.conditional(family):
        # Self-modulation starts from kernels of N(0, 0.02), whose gains hardly depend on the class yet.
        assert (np.abs(images - other).max(axis=(1, 2, 3)) > 1e-5).all()
        assert (np.abs(logits - other_logits) > 1e-7).all()
    else:
        np.testing.assert_array_equal(images, other)
        np.testing.assert_array_equal(logits, other_logits)


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_nothing_is_changed_where_nothing_is_trained(family):
    before = _observed(family)["variables"]
    for network in ("g", "d"):
        for which, (_, after) in _observed(family)[network].items():
            if which != "train":
                jax.tree.map(np.testing.assert_array_equal, {**before[network], **after}, before[network])


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_training_changes_statistics_alone_and_keeps_their_shapes(family):
    """Power iteration and batch statistics move; what else a family keeps is in a collection that the trainer knows."""
    for network in ("g", "d"):
        before, (_, changed) = _observed(family)["variables"][network], _observed(family)[network]["train"]
        assert set(before) <= contracts.COLLECTIONS
        after = {**before, **changed}
        shape = lambda x: (x.shape, x.dtype)
        assert jax.tree.map(shape, after) == jax.tree.map(shape, before)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))
        for name in {"batch_stats", "spectral"} & set(before):
            moved = [not np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (before[name], after[name])))]
            assert any(moved), f"{network}: nothing in {name} moves"


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_layers_of_the_discriminator_that_can_be_frozen_exist(family):
    built, params = contracts.build(family), contracts.disturbed_state(family).d.params
    for path in built.gan.d_layers:
        found = params
        for name in path.split("/"):
            assert name in found, path
            found = found[name]
    assert len(set(built.gan.d_layers)) == len(built.gan.d_layers)


@pytest.mark.parametrize("family", contracts.FAMILIES)
def test_stages_of_growth_end_with_the_whole_image(family):
    gan = contracts.build(family).gan
    if gan.stages:
        assert gan.stages[-1] == gan.image_shape[:2]
        assert all(2 * small == large for pair in zip(gan.stages, gan.stages[1:]) for small, large in zip(*pair))
