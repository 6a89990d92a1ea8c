"""Adversarial losses: one function each, (real_logits, fake_logits, *, settings) -> (d_loss [N], g_loss [N]).

The discriminator minimizes the mean of d_loss, the generator the mean of g_loss. A caller that needs one of the two
ignores the other; under jit its computation disappears.

Image i of a loss stands for real i and fake i together. Where reals and fakes are compared with each other, the loss of
one image depends on others of the global batch, and g_loss has a gradient with respect to the logits of reals, too.
Logits of any size are safe: every logarithm of exponentials is a softplus or a logsumexp. Below, r and f are the logits
of reals and fakes, E the mean over the batch.
"""

import jax
import jax.numpy as jnp

softplus = jax.nn.softplus
relu = jax.nn.relu

Losses = tuple[jax.Array, jax.Array]


def non_saturating(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Non-saturating logistic loss.

    d = softplus(f) + softplus(-r), whose mean is -E log D(x) - E log(1 - D(G(z))) with D = sigmoid(logit);
    g = softplus(-f), whose mean is -E log D(G(z)).

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].

    Returns:
      (d_loss, g_loss), each [N].

    Reference: Goodfellow et al. 2014, section 3; the form of Karras et al. 2020b (StyleGAN2), configuration F.
    """
    return softplus(fake_logits) + softplus(-real_logits), softplus(-fake_logits)


def minimax(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Minimax (saturating) logistic loss: D's as in `non_saturating`, G maximizes the part of it that depends on G.

    d = softplus(f) + softplus(-r); g = -softplus(f), whose mean is E log(1 - D(G(z))).

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].

    Returns:
      (d_loss, g_loss), each [N].

    Reference: Goodfellow et al. 2014, equation 1.
    """
    return softplus(fake_logits) + softplus(-real_logits), -softplus(fake_logits)


def hinge(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Hinge loss.

    d = max(0, 1 - r) + max(0, 1 + f); g = -f. The means are E max(0, 1 - r) + E max(0, 1 + f) and -E f.

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].

    Returns:
      (d_loss, g_loss), each [N].

    Reference: Lim and Ye 2017 (geometric GAN); the form of Miyato et al. 2018 (SNGAN), section 4.
    """
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
    """Least squares: D pulls its scores to their targets, G pulls the scores of its images to that of the reals.

    d = weight * ((r - real_target)^2 + fake_weight * (f - fake_target)^2); g = weight * (f - real_target)^2.
    The means are the same with E around each square.

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].
      real_target: score wanted of reals.
      fake_target: score wanted of fakes by D.
      weight: factor of every square; the paper's 1/2, PGGAN's code has 1.
      fake_weight: further factor of D's square of the fakes; PGGAN's code has 0.1 with targets 0 and 1.
      sigmoid: whether the score is the logit's sigmoid, as in compare_gan, or the logit itself.

    Returns:
      (d_loss, g_loss), each [N].

    Reference: Mao et al. 2017, equation 9 (a = 0, b = c = 1).
    """
    real, fake = (jax.nn.sigmoid(real_logits), jax.nn.sigmoid(fake_logits)) if sigmoid else (real_logits, fake_logits)
    d_loss = jnp.square(real - real_target) + fake_weight * jnp.square(fake - fake_target)
    return weight * d_loss, weight * jnp.square(fake - real_target)


def wasserstein(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Wasserstein loss, for a discriminator that a penalty or a normalization keeps Lipschitz.

    d = f - r; g = -f. The mean of d is minus the estimated distance.

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].

    Returns:
      (d_loss, g_loss), each [N].

    Reference: Arjovsky et al. 2017, algorithm 1.
    """
    return fake_logits - real_logits, -fake_logits


def relativistic(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Relativistic pairing loss: real i is compared with fake i.

    d = softplus(f - r), whose mean is -E log sigmoid(r - f); g = softplus(r - f).

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].

    Returns:
      (d_loss, g_loss), each [N]; g_loss depends on real_logits.

    Reference: Jolicoeur-Martineau 2019 (RSGAN), algorithm 1; Huang et al. 2024 (R3GAN), equation 2.
    """
    difference = real_logits - fake_logits
    return softplus(-difference), softplus(difference)


def relativistic_average(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Relativistic average loss, logistic: each image is compared with the mean logit of the other kind.

    With a = r - E f and b = f - E r: d = softplus(-a) + softplus(b); g = softplus(a) + softplus(-b). The means are sums
    over both kinds, without the 1/2 of some codes.

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].

    Returns:
      (d_loss, g_loss), each [N]; g_loss depends on real_logits.

    Reference: Jolicoeur-Martineau 2019 (RaSGAN), algorithm 2.
    """
    real, fake = _relative_to_mean(real_logits, fake_logits)
    return softplus(-real) + softplus(fake), softplus(real) + softplus(-fake)


def relativistic_average_hinge(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Relativistic average loss with hinges instead of logistic functions.

    With a = r - E f and b = f - E r: d = max(0, 1 - a) + max(0, 1 + b); g = max(0, 1 + a) + max(0, 1 - b).

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].

    Returns:
      (d_loss, g_loss), each [N]; g_loss depends on real_logits.

    Reference: Jolicoeur-Martineau 2019 (RaHingeGAN), algorithm 2 with hinges.
    """
    real, fake = _relative_to_mean(real_logits, fake_logits)
    return relu(1 - real) + relu(1 + fake), relu(1 + real) + relu(1 - fake)


def dual_contrastive(real_logits: jax.Array, fake_logits: jax.Array, *, g_form: str = "minimax") -> Losses:
    """Dual contrastive loss: each real is to be told from all fakes, and each fake from all reals.

    d = log(1 + sum_j exp(f_j - r)) + log(1 + sum_j exp(f - r_j)). Its mean is the sum of two cross entropies: of
    finding the real i among all fakes, and of finding the fake i among all reals by the opposite logits.

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].
      g_form: what G minimizes: "minimax", -d, as in the paper's equations; or "swapped", d with reals and fakes
        exchanged, which does not fade where D wins.

    Returns:
      (d_loss, g_loss), each [N]; both depend on both logits.

    Raises:
      ValueError: if g_form is another word.

    Reference: Yu et al. 2021, section 3.
    """
    if g_form not in ("minimax", "swapped"):
        raise ValueError(f"g_form: found {g_form!r}, allowed: minimax, swapped")
    d_loss = _contrast(real_logits, fake_logits)
    return d_loss, -d_loss if g_form == "minimax" else _contrast(fake_logits, real_logits)


def _relative_to_mean(real_logits: jax.Array, fake_logits: jax.Array) -> Losses:
    """Each logit minus the mean of the other kind."""
    return real_logits - jnp.mean(fake_logits), fake_logits - jnp.mean(real_logits)


def _contrast(high: jax.Array, low: jax.Array) -> jax.Array:
    """log(1 + sum_j exp(low_j - high)) + log(1 + sum_j exp(low - high_j)), [N]."""
    logsumexp = jax.scipy.special.logsumexp
    return softplus(logsumexp(low) - high) + softplus(low + logsumexp(-high))
