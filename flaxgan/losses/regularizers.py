"""Regularizers: one pure function each, (what it looks at, *, settings) -> (penalty, changes of the train state).

An argument's name says what it is. The trainer supplies what a function asks for
(`flaxgan.train.step.training_setup.SUPPLIED` lists the names for each network), a recipe gives the keyword-only rest
(`gamma`, `weight`, `decay`). `discriminate` judges images with the labels and augmentation of the reals,
`discriminate_fakes` with those of the generated images.

A penalty is [N], one for each image, or a scalar. The trainer adds its mean to the loss. What is taken of input
gradients or Jacobians uses the first-order forms of `flaxgan.losses.penalties`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan.losses import penalties
from flaxgan.losses.penalties import input_gradient_norm_penalty, input_gradient_penalty

Discriminate = Callable[[jax.Array], jax.Array]
Penalty = tuple[jax.Array, dict[str, jax.Array]]


def r1(discriminate: Discriminate, real_images: jax.Array, *, gamma: float = 10.0) -> Penalty:
    """Gradient penalty on real images, gamma/2 * |grad_x D(x)|^2.

    Args:
      discriminate: images [N, H, W, C] -> logits [N].
      real_images: float [N, H, W, C].
      gamma: weight of the penalty.

    Returns:
      (penalty [N], {}): no train state changes.

    Reference: Mescheder et al. 2018, equation 9. The gradient is that of the summed logits, so that terms through which
      images of a minibatch-stddev group see each other are included, as in the StyleGAN2 code.
    """
    return 0.5 * gamma * input_gradient_penalty(discriminate, real_images), {}


def r2(discriminate_fakes: Discriminate, fake_images: jax.Array, *, gamma: float = 10.0) -> Penalty:
    """Gradient penalty on generated images, gamma/2 * |grad_x D(x)|^2; everything else is as for `r1`.

    Args:
      discriminate_fakes: images [N, H, W, C] -> logits [N].
      fake_images: float [N, H, W, C].
      gamma: weight of the penalty.

    Returns:
      (penalty [N], {}).

    Reference: Mescheder et al. 2018, equation 10.
    """
    return 0.5 * gamma * input_gradient_penalty(discriminate_fakes, fake_images), {}


def gradient_penalty(
    discriminate: Discriminate,
    real_images: jax.Array,
    fake_images: jax.Array,
    interpolation: jax.Array,
    *,
    weight: float = 10.0,
    target: float = 1.0,
    one_sided: bool = False,
    epsilon: float = 0.0,
) -> Penalty:
    """WGAN-GP: pulls the norm of D's gradient to a target, between pairs of a real and a fake.

    weight / target^2 * (|grad_x D(x)| - target)^2 at x = u * real + (1 - u) * fake; one-sided, only where the norm is
    above the target.

    Args:
      discriminate: images [N, H, W, C] -> logits [N].
      real_images: float [N, H, W, C].
      fake_images: float [N, H, W, C].
      interpolation: u, uniform in [0, 1), [N]: the share of the real image.
      weight: the paper's lambda.
      target: wanted norm, above 0. PGGAN's code divides by its square, as here; it takes 750 on CIFAR-10.
      one_sided: whether smaller norms go free.
      epsilon: added under the root of the norm; compare_gan has 1e-4.

    Returns:
      (penalty [N], {}).

    Raises:
      ValueError: if the target is not above 0.

    Reference: Gulrajani et al. 2017, equation 3; one-sided, Petzka et al. 2018 (WGAN-LP).
    """
    images = _between(real_images, fake_images, interpolation)
    return _towards_target(discriminate, images, weight, target, one_sided=one_sided, epsilon=epsilon), {}


def dragan(
    discriminate: Discriminate,
    real_images: jax.Array,
    interpolation: jax.Array,
    uniform_noise: jax.Array,
    *,
    weight: float = 10.0,
    target: float = 1.0,
    scale: float = 0.5,
) -> Penalty:
    """DRAGAN: pulls the norm of D's gradient to a target around real images.

    weight / target^2 * (|grad_x D(x)| - target)^2 at x = real + u * scale * std * noise, where std is that of all
    numbers of the global batch of reals (divided by their number less 1).

    Args:
      discriminate: images [N, H, W, C] -> logits [N].
      real_images: float [N, H, W, C].
      interpolation: u, uniform in [0, 1), [N].
      uniform_noise: uniform in [0, 1), [N, H, W, C].
      weight: factor of the penalty.
      target: wanted norm, above 0.
      scale: share of the standard deviation that the noise is given.

    Returns:
      (penalty [N], {}).

    Raises:
      ValueError: if the target is not above 0.

    Reference: Kodali et al. 2017, in the form of their code.
    """
    noise = scale * jnp.std(real_images, ddof=1) * uniform_noise
    images = real_images + _per_image(interpolation, real_images) * noise
    return _towards_target(discriminate, images, weight, target), {}


def max_gradient_penalty(
    discriminate: Discriminate,
    real_images: jax.Array,
    fake_images: jax.Array,
    interpolation: jax.Array,
    *,
    weight: float = 1.0,
) -> Penalty:
    """Squared norm of the largest of D's gradients between reals and fakes: weight * max over N of |grad_x D(x)|^2.

    Args:
      discriminate: images [N, H, W, C] -> logits [N].
      real_images: float [N, H, W, C].
      fake_images: float [N, H, W, C].
      interpolation: uniform in [0, 1), [N]: the share of the real image.
      weight: factor of the penalty.

    Returns:
      (penalty [N], the same for every image of the global batch, {}).

    Reference: Zhou et al. 2019 (Lipschitz GANs): MaxGP.
    """
    images = _between(real_images, fake_images, interpolation)
    largest = lambda norms: jnp.broadcast_to(jnp.square(jnp.max(norms)), norms.shape)
    return weight * input_gradient_norm_penalty(discriminate, images, largest), {}


def drift(real_logits: jax.Array, *, weight: float = 0.001) -> Penalty:
    """Keeps the logits of reals from drifting away, weight * D(x)^2.

    Args:
      real_logits: float [N].
      weight: factor of the square.

    Returns:
      (penalty [N], {}).

    Reference: Karras et al. 2018, section A.1 (epsilon_drift).
    """
    return weight * jnp.square(real_logits), {}


def path_length(
    synthesize: Callable[[jax.Array], jax.Array],
    ws: jax.Array,
    image_noise: jax.Array,
    pl_mean: jax.Array,
    *,
    weight: float = 2.0,
    decay: float = 0.01,
) -> Penalty:
    """Path length regularization of a style-based generator as a recipe names it; see `path_length_penalty`.

    Returns:
      (weight * penalty [N], {"pl_mean": the updated mean}).
    """
    penalty, new_mean, _ = penalties.path_length_penalty(synthesize, ws, image_noise, pl_mean, decay=decay)
    return weight * penalty, {"pl_mean": new_mean}


def orthogonal(params: Any, *, weight: float = 1e-4, off_diagonal: bool = True, embeddings: bool = False) -> Penalty:
    """Orthogonal regularization of every kernel W [outputs, everything else].

    weight / 2 * sum over kernels of |W W^T * (1 - I)|_F^2, whose gradient is weight * 2 (W W^T * (1 - I)) W: that of
    BigGAN's code, half of what the paper's equation gives.

    Args:
      params: parameter tree. Leaves named "kernel" or "weight" count if they have more than one axis, the last of
        which holds the outputs; biases, gains and constants never do.
      weight: the paper's beta.
      off_diagonal: whether the rows' lengths go free; otherwise W W^T - I takes the place of W W^T * (1 - I).
      embeddings: whether leaves named "embedding" [K, F] count, with K outputs. BigGAN's code leaves out G's shared
        embedding and keeps that of D.

    Returns:
      (penalty, a scalar, {}).

    Raises:
      ValueError: if the tree has no such leaf.

    Reference: Brock et al. 2019 (BigGAN), equation 3; with the diagonal, equation 2.
    """
    return weight / 2 * penalties.orthogonality(params, off_diagonal=off_diagonal, embeddings=embeddings), {}


def latent_correlation(z: jax.Array, fake_features: jax.Array, *, weight: float = 0.5) -> Penalty:
    """Makes D's features of an image estimate the latent it came from: -weight * their Pearson correlation.

    The correlation is taken over the latent axis of each image. For use in the losses of both networks: G moves to make
    its latents readable, D to read them.

    Args:
      z: latents, [N, Z].
      fake_features: D's features of the images generated from them, [N, Z].
      weight: the paper's lambda; 0.5 is that of the 128-pixel recipe.

    Returns:
      (penalty [N], {}).

    Raises:
      ValueError: if the features have another shape than the latents.

    Reference: Su 2019 (O-GAN).
    """
    if z.shape != fake_features.shape:
        raise ValueError(f"fake_features: found shape {fake_features.shape}, allowed: {z.shape}, that of z")
    return -weight * jnp.sum(_standardized(z) * _standardized(fake_features), axis=1), {}


def quadratic_potential(
    real_logits: jax.Array,
    fake_logits: jax.Array,
    real_images: jax.Array,
    fake_images: jax.Array,
    *,
    weight: float = 0.25,
) -> Penalty:
    """Bounds how fast D's logit changes from a fake to a real: weight * (r - f)^2 / mean((x_real - x_fake)^2).

    Real i and fake i make a pair; the mean is over their pixels and channels. There is no epsilon: a pair of equal
    images gives no finite number.

    Args:
      real_logits: float [N].
      fake_logits: float [N].
      real_images: float [N, H, W, C].
      fake_images: float [N, H, W, C], held constant.
      weight: factor of the penalty.

    Returns:
      (penalty [N], {}).

    Reference: Su 2018 (GAN-QP), with the squared distance of the O-GAN code.
    """
    distances = jnp.square(real_images - jax.lax.stop_gradient(fake_images))
    return weight * jnp.square(real_logits - fake_logits) / jnp.mean(distances, axis=(1, 2, 3)), {}


def _towards_target(
    discriminate: Discriminate,
    images: jax.Array,
    weight: float,
    target: float,
    *,
    one_sided: bool = False,
    epsilon: float = 0.0,
) -> jax.Array:
    if target <= 0:
        raise ValueError(f"target: found {target}, allowed: above 0 (r1 and r2 pull gradients to 0)")

    def penalize(norms):
        excess = jnp.maximum(norms - target, 0) if one_sided else norms - target
        return weight / target**2 * jnp.square(excess)

    return input_gradient_norm_penalty(discriminate, images, penalize, epsilon=epsilon)


def _between(real_images: jax.Array, fake_images: jax.Array, share: jax.Array) -> jax.Array:
    share = _per_image(share, real_images)
    return share * real_images + (1 - share) * fake_images


def _per_image(numbers: jax.Array, images: jax.Array) -> jax.Array:
    """[N] in a shape that multiplies images of any number of axes, in their dtype."""
    return numbers.astype(images.dtype).reshape(-1, *[1] * (images.ndim - 1))


def _standardized(x: jax.Array) -> jax.Array:
    """Rows less their mean, with length 1: x * rsqrt(max(sum(x^2), 1e-12))."""
    x = x - jnp.mean(x, axis=1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x), axis=1, keepdims=True), 1e-12))
