"""Regularizers: one pure function each, (inputs, *, settings) -> (penalty, new state).

The name of a positional argument says what it is. The trainer supplies it: `INPUTS` of
`flaxgan.train.step.regularizer_inputs` lists the names for each network. A recipe gives the keyword-only settings
(`gamma`, `weight`, `decay`). `discriminate` judges images with the labels and augmentation of the reals,
`discriminate_fakes` with those of the generated images.

A penalty is [N], one value for each image, or a scalar. The trainer adds its mean to the loss. The new state is {} for
all regularizers but those that declare state with `flaxgan.losses.stateful`. Penalties on input gradients and Jacobians
use the first-order forms of `flaxgan.losses.penalties`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words
from flaxgan.losses import penalties
from flaxgan.losses.gradient_points import between, per_image, towards_target
from flaxgan.losses.penalties import input_gradient_norm_penalty, input_gradient_penalty
from flaxgan.losses.stateful import stateful

Discriminate = Callable[[jax.Array], jax.Array]
Penalty = tuple[jax.Array, dict[str, jax.Array]]


def r1(discriminate: Discriminate, real_images: jax.Array, *, gamma: float = 10.0) -> Penalty:
    """Penalizes the gradient on real images, gamma/2 * |grad_x D(x)|^2.

    Args:
      discriminate: images [N, H, W, C] -> logits [N].
      real_images: float [N, H, W, C].
      gamma: weight of the penalty.

    Returns:
      (penalty [N], {}): no train state changes.

    References:
      Mescheder et al. 2018, equation 9. The gradient is that of the summed logits, so that terms through which
      images of a minibatch-stddev group see each other are included, as in the StyleGAN2 code.
    """
    return 0.5 * gamma * input_gradient_penalty(discriminate, real_images), {}


def r2(discriminate_fakes: Discriminate, fake_images: jax.Array, *, gamma: float = 10.0) -> Penalty:
    """Penalizes the gradient on generated images, gamma/2 * |grad_x D(x)|^2; everything else is as for `r1`.

    Args:
      discriminate_fakes: images [N, H, W, C] -> logits [N].
      fake_images: float [N, H, W, C].
      gamma: weight of the penalty.

    Returns:
      (penalty [N], {}).

    References:
      Mescheder et al. 2018, equation 10.
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
    """Pulls the norm of D's gradient to a target, between pairs of a real and a fake (WGAN-GP).

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
      FieldError: if the target is not above 0.

    References:
      Gulrajani et al. 2017, equation 3; one-sided, Petzka et al. 2018 (WGAN-LP).
    """
    images = between(real_images, fake_images, interpolation)
    return towards_target(discriminate, images, weight, target, one_sided=one_sided, epsilon=epsilon), {}


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
    """Pulls the norm of D's gradient to a target around real images (DRAGAN).

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
      FieldError: if the target is not above 0.

    References:
      Kodali et al. 2017, in the form of their code.
    """
    noise = scale * jnp.std(real_images, ddof=1) * uniform_noise
    images = real_images + per_image(interpolation, real_images) * noise
    return towards_target(discriminate, images, weight, target), {}


def max_gradient_penalty(
    discriminate: Discriminate,
    real_images: jax.Array,
    fake_images: jax.Array,
    interpolation: jax.Array,
    *,
    weight: float = 1.0,
) -> Penalty:
    """Penalizes the largest of D's gradients between reals and fakes: weight * max over N of |grad_x D(x)|^2.

    Args:
      discriminate: images [N, H, W, C] -> logits [N].
      real_images: float [N, H, W, C].
      fake_images: float [N, H, W, C].
      interpolation: uniform in [0, 1), [N]: the share of the real image.
      weight: factor of the penalty.

    Returns:
      (penalty [N], the same for every image of the global batch, {}).

    References:
      Zhou et al. 2019 (Lipschitz GANs): MaxGP.
    """
    images = between(real_images, fake_images, interpolation)
    largest = lambda norms: jnp.broadcast_to(jnp.square(jnp.max(norms)), norms.shape)
    return weight * input_gradient_norm_penalty(discriminate, images, largest), {}


def drift(real_logits: jax.Array, *, weight: float = 0.001) -> Penalty:
    """Keeps the logits of reals from drifting away, weight * D(x)^2.

    Args:
      real_logits: float [N].
      weight: factor of the square.

    Returns:
      (penalty [N], {}).

    References:
      Karras et al. 2018, section A.1 (epsilon_drift).
    """
    return weight * jnp.square(real_logits), {}


@stateful(lecam_real=0.0, lecam_fake=0.0, lecam_updates=0.0)
def lecam(
    real_logits: jax.Array,
    fake_logits: jax.Array,
    step: jax.Array,
    lecam_real: jax.Array,
    lecam_fake: jax.Array,
    lecam_updates: jax.Array,
    *,
    weight: float = 0.3,
    decay: float = 0.9,
    start_step: int | None = 1000,
) -> Penalty:
    """Pulls D's logits towards the moving average of the other kind of images' logits (LeCam).

    weight * (max(r - a_F, 0)^2 + max(a_R - f, 0)^2), whose mean is that of the official code: only logits in the right
    order are pulled. The averages a_R of E r and a_F of E f are updated before the penalty and held constant in it.

    Args:
      real_logits: r, float [N].
      fake_logits: f, float [N].
      step: steps before this one, int32 [].
      lecam_real: a_R, [] (state).
      lecam_fake: a_F, [] (state).
      lecam_updates: updates of the averages so far, [] (state).
      weight: the paper's lambda. 0.3 is that of hinge loss on CIFAR; unbounded logistic losses take about 1e-6.
      decay: share of the old average; the TensorFlow code has 0.99.
      start_step: the averages are those of the present batch before this step, and the penalty acts after it (PyTorch
        code). None acts from the first step, with averages whose bias is corrected (TensorFlow code).

    Returns:
      (penalty [N], the three new values of the state).

    References:
      Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data", in the form of the official
      code.
    """
    if start_step is None:
        keep = decay * (1 - decay**lecam_updates) / (1 - decay ** (lecam_updates + 1))
        weights = weight
    else:
        keep = jnp.where(step < start_step, 0.0, decay)
        weights = jnp.where(step > start_step, weight, 0.0)
    average = lambda old, logits: keep * old + (1 - keep) * jnp.mean(jax.lax.stop_gradient(logits))
    real_mean, fake_mean = average(lecam_real, real_logits), average(lecam_fake, fake_logits)
    penalty = jnp.square(jax.nn.relu(real_logits - fake_mean)) + jnp.square(jax.nn.relu(real_mean - fake_logits))
    return weights * penalty, {"lecam_real": real_mean, "lecam_fake": fake_mean, "lecam_updates": lecam_updates + 1}


@stateful(pl_mean=0.0)
def path_length(
    synthesize: Callable[[jax.Array], jax.Array],
    ws: jax.Array,
    image_noise: jax.Array,
    pl_mean: jax.Array,
    *,
    weight: float = 2.0,
    decay: float = 0.01,
) -> Penalty:
    """Keeps the lengths of paths in W close to their moving average; see `penalties.path_length_penalty`.

    Args:
      synthesize: styles [N, L, D] -> images [N, H, W, C].
      ws: float [N, L, D].
      image_noise: standard normal, [N, H, W, C].
      pl_mean: moving average of the path length, [] (state).
      weight: factor of the penalty.
      decay: share of a batch in the new average.

    Returns:
      (weight * penalty [N], {"pl_mean": the new average}).
    """
    penalty, new_mean, _ = penalties.path_length_penalty(synthesize, ws, image_noise, pl_mean, decay=decay)
    return weight * penalty, {"pl_mean": new_mean}


def orthogonal(params: Any, *, weight: float = 1e-4, off_diagonal: bool = True, embeddings: bool = False) -> Penalty:
    """Pulls every kernel W [outputs, everything else] towards orthogonal rows.

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
      FieldError: if the tree has no such leaf.

    References:
      Brock et al. 2019 (BigGAN), equation 3; with the diagonal, equation 2.
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
      FieldError: if the features have another shape than the latents.

    References:
      Su 2019 (O-GAN).
    """
    if z.shape != fake_features.shape:
        raise FieldError("fake_features", Words(f"shape {fake_features.shape}"), f"{z.shape}, that of z")
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

    References:
      Su 2018 (GAN-QP), with the squared distance of the O-GAN code.
    """
    distances = jnp.square(real_images - jax.lax.stop_gradient(fake_images))
    return weight * jnp.square(real_logits - fake_logits) / jnp.mean(distances, axis=(1, 2, 3)), {}


def _standardized(x: jax.Array) -> jax.Array:
    """Returns rows less their mean, with length 1: x * rsqrt(max(sum(x^2), 1e-12))."""
    x = x - jnp.mean(x, axis=1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x), axis=1, keepdims=True), 1e-12))
