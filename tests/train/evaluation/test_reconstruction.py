import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import small_gans
from flax import linen as nn

from flaxgan.train.evaluation import reconstruction
from flaxgan.types import DiscriminatorOutput, Gan

IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 2, 3, 1)).astype(np.float32)
E = np.random.default_rng(1).standard_normal((6, 5)).astype(np.float32)
G = np.random.default_rng(2).standard_normal((5, 6)).astype(np.float32)


class Encoder(nn.Module):
    """Features are linear in the pixels, and shifted by the label."""

    @nn.compact
    def __call__(self, images, labels=None, *, train: bool = False):
        kernel = self.param("kernel", nn.initializers.zeros, (6, 5))
        shift = 0 if labels is None else labels[:, None] * jnp.arange(5)
        features = images.reshape(-1, 6) @ kernel + shift
        return DiscriminatorOutput(jnp.sum(features, axis=1) * (1 - 2 * train), features)


class Decoder(nn.Module):
    """Images are linear in the latents."""

    @nn.compact
    def __call__(self, z, labels=None, *, train: bool = False):
        kernel = self.param("kernel", nn.initializers.zeros, (5, 6))
        shift = 0 if labels is None else labels[:, None]
        return (z @ kernel + shift).reshape(-1, 2, 3, 1)


GAN = Gan(Decoder(), Encoder(), 5, (2, 3, 1), 0, encodes=True)
D_VARIABLES, G_VARIABLES = {"params": {"kernel": E}}, {"params": {"kernel": G}}


def test_encode_gives_the_features():
    expected = IMAGES.reshape(-1, 6) @ E
    np.testing.assert_allclose(reconstruction.encode(GAN, D_VARIABLES, IMAGES), expected, rtol=1e-5, atol=1e-6)
    labels = np.array([0, 1, 2, 0])
    found = reconstruction.encode(GAN, D_VARIABLES, IMAGES, labels)
    np.testing.assert_allclose(found, expected + labels[:, None] * np.arange(5), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [None, 1.0, 0.3])
def test_reconstruct_decodes_standardized_estimates(scale):
    """Mean and standard deviation are those of each sample; 0.9 is the factor of all four official scripts."""
    z = IMAGES.reshape(-1, 6) @ E
    z = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, keepdims=True)
    expected = (0.9 if scale is None else scale) * z @ G
    given = {} if scale is None else {"scale": scale}
    found = reconstruction.reconstruct(GAN, G_VARIABLES, D_VARIABLES, IMAGES, **given)
    np.testing.assert_allclose(found.reshape(-1, 6), expected, rtol=1e-4, atol=1e-5)


def test_reconstruct_gives_the_labels_to_both_networks():
    labels = np.array([0, 1, 2, 0])
    z_hat = reconstruction.encode(GAN, D_VARIABLES, IMAGES, labels)
    expected = 0.9 * reconstruction.standardize(z_hat) @ G + labels[:, None]
    found = reconstruction.reconstruct(GAN, G_VARIABLES, D_VARIABLES, IMAGES, labels)
    np.testing.assert_allclose(found.reshape(-1, 6), expected, rtol=1e-4, atol=1e-5)


def test_length_and_offset_of_an_estimate_do_not_matter():
    z_hat = np.random.default_rng(3).standard_normal((3, 7)).astype(np.float32)
    found = reconstruction.standardize(z_hat)
    np.testing.assert_allclose(reconstruction.standardize(100 * z_hat + 3), found, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose((found.mean(axis=1), found.std(axis=1)), ([0] * 3, [1] * 3), atol=1e-5)
    np.testing.assert_array_equal(reconstruction.standardize(np.ones((2, 7), np.float32)), np.zeros((2, 7)))


def test_style_based_generator_uses_its_constant_noise():
    class Styled(Decoder):
        @nn.compact
        def __call__(self, z, labels=None, *, train: bool = False, noise_mode: str = "random"):
            kernel = self.param("kernel", nn.initializers.zeros, (5, 6))
            return (z @ kernel + {"const": 7.0, "random": jnp.nan}[noise_mode]).reshape(-1, 2, 3, 1)

        def map(self, z, labels=None):
            return z

        def synthesize(self, ws):
            return ws

    styled = dataclasses.replace(GAN, generator=Styled())
    found = reconstruction.reconstruct(styled, G_VARIABLES, D_VARIABLES, IMAGES)
    plain = reconstruction.reconstruct(GAN, G_VARIABLES, D_VARIABLES, IMAGES)
    np.testing.assert_allclose(found, plain + 7, rtol=1e-5, atol=1e-5)


def test_a_discriminator_that_does_not_encode_is_refused():
    with pytest.raises(ValueError, match="gan: found a discriminator that does not encode, allowed: "):
        reconstruction.encode(small_gans.gan(), {}, IMAGES)
