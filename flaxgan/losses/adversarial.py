"""Adversarial losses, one function each, that return (d_loss [N], g_loss [N]).

The usual signature is `(real_logits, fake_logits, *, settings)`. The trainer supplies the positional arguments by name,
out of real_logits, fake_logits, real_class_logits, fake_class_logits, real_labels and fake_labels; a loss that looks at
classes adds the arguments of those names that it needs. A recipe supplies the keyword-only settings.

The discriminator minimizes the mean of d_loss, the generator the mean of g_loss. A caller that needs only one of the
two ignores the other; under jit the compiler then drops its computation.

Element i of a loss belongs to real image i and generated image i together. Where a loss compares reals with fakes,
element i depends on other images of the global batch, and g_loss also has a gradient with respect to the logits of
reals. Logits of any size are safe: every logarithm of exponentials is a softplus or a logsumexp. Logits of another rank
or of different shapes raise an error instead of broadcasting. Below, r and f are the logits of reals and fakes, and E
is the mean over the batch.
"""

import chex
import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words

softplus = jax.nn.softplus
relu = jax.nn.relu

Losses = tuple[jax.Array, jax.Array]


def non_saturating(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Computes the non-saturating logistic loss.

    d = softplus(f) + softplus(-r), whose mean is -E log D(x) - E log(1 - D(G(z))) with D = sigmoid(logit);
    g = softplus(-f), whose mean is -E log D(G(z)).

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].

    Returns:
      (d_loss, g_loss), each [N].

    Raises:
      FieldError: on logits that are not [N] or of different shapes.

    References:
      Goodfellow et al. 2014, section 3; the form of Karras et al. 2020b (StyleGAN2), configuration F.
    """
    _check_logits(real_logits, fake_logits)
    return softplus(fake_logits) + softplus(-real_logits), softplus(-fake_logits)


def minimax(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Computes the minimax (saturating) logistic loss.

    D's loss is that of `non_saturating`; G maximizes the part of it that depends on G.
    d = softplus(f) + softplus(-r); g = -softplus(f), whose mean is E log(1 - D(G(z))).

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].

    Returns:
      (d_loss, g_loss), each [N].

    Raises:
      FieldError: on logits that are not [N] or of different shapes.

    References:
      Goodfellow et al. 2014, equation 1.
    """
    _check_logits(real_logits, fake_logits)
    return softplus(fake_logits) + softplus(-real_logits), -softplus(fake_logits)


def hinge(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Computes the hinge loss.

    d = max(0, 1 - r) + max(0, 1 + f); g = -f. The means are E max(0, 1 - r) + E max(0, 1 + f) and -E f.

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].

    Returns:
      (d_loss, g_loss), each [N].

    Raises:
      FieldError: on logits that are not [N] or of different shapes.

    References:
      Lim and Ye 2017 (geometric GAN); the form of Miyato et al. 2018 (SNGAN), section 4.
    """
    _check_logits(real_logits, fake_logits)
    return relu(1 - real_logits) + relu(1 + fake_logits), -fake_logits


def lsgan(
    real_logits: jax.Array,
    fake_logits: jax.Array,
    *,
    real_target: float = 1.0,
    fake_target: float = 0.0,
    weight: float = 0.5,
    fake_weight: float = 1.0,
    sigmoid: bool = False,
) -> Losses:
    """Computes the least squares loss.

    D pulls its scores to their targets; G pulls the scores of its images to the target of the reals.
    d = weight * ((r - real_target)^2 + fake_weight * (f - fake_target)^2); g = weight * (f - real_target)^2.
    The means are the same with E around each square.

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].
      real_target: target score of reals.
      fake_target: target score of fakes in D's loss.
      weight: factor of every square; 1/2 in the paper, 1 in PGGAN's code.
      fake_weight: further factor of the fakes' square in D's loss; 0.1 in PGGAN's code, whose targets are 0 and 1.
      sigmoid: True takes the sigmoid of the logit as the score, as compare_gan does; False takes the logit itself.

    Returns:
      (d_loss, g_loss), each [N].

    Raises:
      FieldError: on logits that are not [N] or of different shapes.

    References:
      Mao et al. 2017, equation 9 (a = 0, b = c = 1).
    """
    _check_logits(real_logits, fake_logits)
    real, fake = (jax.nn.sigmoid(real_logits), jax.nn.sigmoid(fake_logits)) if sigmoid else (real_logits, fake_logits)
    d_loss = jnp.square(real - real_target) + fake_weight * jnp.square(fake - fake_target)
    return weight * d_loss, weight * jnp.square(fake - real_target)


def wasserstein(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Computes the Wasserstein loss, for a discriminator that a penalty or a normalization keeps Lipschitz.

    d = f - r; g = -f. The mean of d is minus the estimated distance.

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].

    Returns:
      (d_loss, g_loss), each [N].

    Raises:
      FieldError: on logits that are not [N] or of different shapes.

    References:
      Arjovsky et al. 2017, algorithm 1.
    """
    _check_logits(real_logits, fake_logits)
    return fake_logits - real_logits, -fake_logits


def relativistic(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Computes the relativistic pairing loss, which compares real i with fake i.

    d = softplus(f - r), whose mean is -E log sigmoid(r - f); g = softplus(r - f).

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].

    Returns:
      (d_loss, g_loss), each [N]; g_loss depends on real_logits.

    Raises:
      FieldError: on logits that are not [N] or of different shapes.

    References:
      Jolicoeur-Martineau 2019 (RSGAN), algorithm 1; Huang et al. 2024 (R3GAN), equation 2.
    """
    _check_logits(real_logits, fake_logits)
    difference = real_logits - fake_logits
    return softplus(-difference), softplus(difference)


def relativistic_average(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Computes the logistic relativistic average loss, which compares each image with the mean logit of the other kind.

    With a = r - E f and b = f - E r: d = softplus(-a) + softplus(b); g = softplus(a) + softplus(-b). The
    means are sums over both kinds, without the 1/2 of some implementations.

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].

    Returns:
      (d_loss, g_loss), each [N]; g_loss depends on real_logits.

    Raises:
      FieldError: on logits that are not [N] or of different shapes.

    References:
      Jolicoeur-Martineau 2019 (RaSGAN), algorithm 2.
    """
    _check_logits(real_logits, fake_logits)
    real, fake = _relative_to_mean(real_logits, fake_logits)
    return softplus(-real) + softplus(fake), softplus(real) + softplus(-fake)


def relativistic_average_hinge(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Computes the relativistic average loss with hinges instead of logistic functions.

    With a = r - E f and b = f - E r: d = max(0, 1 - a) + max(0, 1 + b); g = max(0, 1 + a) + max(0, 1 - b).

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].

    Returns:
      (d_loss, g_loss), each [N]; g_loss depends on real_logits.

    Raises:
      FieldError: on logits that are not [N] or of different shapes.

    References:
      Jolicoeur-Martineau 2019 (RaHingeGAN), algorithm 2 with hinges.
    """
    _check_logits(real_logits, fake_logits)
    real, fake = _relative_to_mean(real_logits, fake_logits)
    return relu(1 - real) + relu(1 + fake), relu(1 + real) + relu(1 - fake)


def dual_contrastive(real_logits: jax.Array, fake_logits: jax.Array, *, g_form: str = "minimax") -> Losses:
    """Computes the dual contrastive loss.

    D tells each real from all fakes, and each fake from all reals.
    d = log(1 + sum_j exp(f_j - r)) + log(1 + sum_j exp(f - r_j)). Its mean is the sum of two cross entropies: that
    of finding real i among all fakes, and that of finding fake i among all reals by the negated logits.

    Args:
      real_logits: discriminator logits of real images, float [N].
      fake_logits: discriminator logits of generated images, float [N].
      g_form: G's loss. "minimax" is -d, as in the paper's equations; "swapped" is d with reals and fakes exchanged,
        whose gradient does not vanish where D wins.

    Returns:
      (d_loss, g_loss), each [N]; both depend on both logits.

    Raises:
      FieldError: on logits that are not [N] or of different shapes, and on another g_form.

    References:
      Yu et al. 2021, section 3.
    """
    _check_logits(real_logits, fake_logits)
    if g_form not in ("minimax", "swapped"):
        raise FieldError("g_form", g_form, "minimax, swapped")
    d_loss = _contrast(real_logits, fake_logits)
    return d_loss, -d_loss if g_form == "minimax" else _contrast(fake_logits, real_logits)


def _check_logits(real_logits: jax.Array, fake_logits: jax.Array) -> None:
    """Checks the logits' rank and shapes; works on traced arrays.

    Raises:
      FieldError: if one is not [N], or they have different shapes.
    """
    for name, logits in (("real_logits", real_logits), ("fake_logits", fake_logits)):
        try:
            chex.assert_rank(logits, 1)
        except AssertionError as error:
            raise FieldError(name, Words(f"shape {jnp.shape(logits)}"), "[N]") from error
    try:
        chex.assert_equal_shape([real_logits, fake_logits])
    except AssertionError as error:
        found, allowed = Words(f"shape {fake_logits.shape}"), f"{real_logits.shape}, that of real_logits"
        raise FieldError("fake_logits", found, allowed) from error


def _relative_to_mean(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Returns each logit minus the mean of the other kind."""
    return real_logits - jnp.mean(fake_logits), fake_logits - jnp.mean(real_logits)


def _contrast(high: jax.Array, low: jax.Array) -> jax.Array:
    """Computes log(1 + sum_j exp(low_j - high)) + log(1 + sum_j exp(low - high_j)), [N]."""
    logsumexp = jax.scipy.special.logsumexp
    return softplus(logsumexp(low) - high) + softplus(low + logsumexp(-high))
