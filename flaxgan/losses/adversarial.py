"""Adversarial losses: one function each, (real_logits, fake_logits) -> (d_loss [N], g_loss [N]).

The discriminator minimizes the mean of d_loss, the generator the mean of g_loss. A caller that needs one of the two
ignores the other; under jit its computation disappears.
"""

import jax


def non_saturating(real_logits: jax.Array, fake_logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Non-saturating logistic loss.

    d = softplus(fake) + softplus(-real); g = softplus(-fake).

    Args:
      real_logits: D's scores of real images, [N].
      fake_logits: D's scores of generated images, [N].

    Returns:
      (d_loss, g_loss), each [N].

    Reference: Goodfellow et al. 2014, section 3; the form of Karras et al. 2020b (StyleGAN2), configuration F.
    """
    return (jax.nn.softplus(fake_logits) + jax.nn.softplus(-real_logits), jax.nn.softplus(-fake_logits))
