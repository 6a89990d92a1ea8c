"""Minibatch discrimination: features that tell how close an image is to the others of its batch."""

import jax
import jax.numpy as jnp
from flax import linen as nn


def minibatch_similarity(projections: jax.Array, *, include_self: bool = True) -> jax.Array:
    """o_b(x_i) = sum_j exp(-|M_ib - M_jb|_1): how close each image of the (global) batch is to all of them.

    Args:
      projections: M, float [N, B, C]: B vectors of C numbers for each image.
      include_self: whether j runs over image i, too, which adds exp(0) = 1.

    Returns:
      [N, B], in float32, or in float64 if M is. The distances take N^2 B C numbers.

    Raises:
      ValueError: if M has not 3 axes.

    Reference: Salimans et al. 2016 ("Improved Techniques for Training GANs"), section 3.2. The paper's sum includes
      i itself; its code excludes it.
    """
    if projections.ndim != 3:
        raise ValueError(f"projections: found shape {projections.shape}, allowed: [N, B, C]")
    projections = projections.astype(jnp.promote_types(projections.dtype, jnp.float32))
    distances = jnp.sum(jnp.abs(projections[:, None] - projections[None]), axis=3)  # [N, N, B]
    closeness = jnp.exp(-distances)
    if not include_self:
        # Masked, not subtracted from the sum: the 1 would drown what is left.
        closeness = jnp.where(jnp.eye(len(projections), dtype=bool)[:, :, None], 0, closeness)
    return jnp.sum(closeness, axis=1)


class MinibatchDiscrimination(nn.Module):
    """Appends, to the features f [N, A] of a batch, how close each image is to the others: [N, A + B].

    M = f T, then `minibatch_similarity`. Parameters: kernel T [A, B, C], float32; with `weight_norm` also
    log_scale [B, C] (0) and bias [B] (-1).

    Attributes:
      num_kernels: similarities B for each image.
      kernel_dim: width C of the vectors that are compared.
      include_self: whether an image is compared with itself, as in the paper's sum; the paper's code leaves it out.
      mean: divides by the number of images compared, so that the batch size does not scale the result.
      weight_norm: the form of the paper's code: each of the B C columns of T is normalized over A and scaled by
        exp(log_scale), and a bias is added to the result.
      kernel_init: initializer of T. The default gives distances of order 1 for features of order 1: where they are
        much larger, the exponentials and their gradients vanish. (With `weight_norm` its scale has no effect.)

    Reference: Salimans et al. 2016, section 3.2; the defaults B 100 and C 5 are those of its code.
    """

    num_kernels: int = 100
    kernel_dim: int = 5
    include_self: bool = True
    mean: bool = False
    weight_norm: bool = False
    kernel_init: nn.initializers.Initializer | None = None

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Maps [N, A] to [N, A + B]; computes in float32 or above, and returns the type of the features.

        Raises:
          ValueError: if the features have not 2 axes, or are of a single image that is not to be compared with itself.
        """
        if features.ndim != 2:
            raise ValueError(f"features: found shape {features.shape}, allowed: [N, A]")
        batch, width = features.shape
        if batch == 1 and self.mean and not self.include_self:
            raise ValueError("features: found a batch of 1 image, allowed: at least 2 for a mean over the others")
        init = self.kernel_init or nn.initializers.normal(1 / (self.kernel_dim * width**0.5))
        kernel = self.param("kernel", init, (width, self.num_kernels, self.kernel_dim), jnp.float32)
        if self.weight_norm:
            log_scale = self.param("log_scale", nn.initializers.zeros, kernel.shape[1:], jnp.float32)
            kernel = kernel * (jnp.exp(log_scale) / jnp.linalg.norm(kernel, axis=0))
        operands = nn.dtypes.promote_dtype(features, kernel)  # never below the kernel's float32
        similarity = minibatch_similarity(jnp.einsum("na,abc->nbc", *operands), include_self=self.include_self)
        if self.mean:
            similarity = similarity / (batch if self.include_self else batch - 1)
        if self.weight_norm:
            similarity = similarity + self.param("bias", nn.initializers.constant(-1), (self.num_kernels,), jnp.float32)
        return jnp.concatenate([features, similarity.astype(features.dtype)], axis=1)
