"""Minibatch discrimination, features that measure the similarity of an image to the others of its batch."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words


def minibatch_similarity(projections: jax.Array, *, include_self: bool = True) -> jax.Array:
    """Computes o_b(x_i) = sum_j exp(-|M_ib - M_jb|_1), the similarity of each image to all of the global batch.

    Args:
      projections: M, float [N, B, C]: B vectors of C numbers for each image.
      include_self: whether the sum over j includes image i, which adds exp(0) = 1.

    Returns:
      [N, B], in float32, or in float64 if M is. The distances take memory for N^2 B C numbers.

    Raises:
      FieldError: if M is not [N, B, C].

    References:
      Salimans et al. 2016 ("Improved Techniques for Training GANs"), section 3.2. The paper's sum includes i itself;
      its code excludes it.
    """
    if projections.ndim != 3:
        raise FieldError("projections", Words(f"shape {projections.shape}"), "[N, B, C]")
    projections = projections.astype(jnp.promote_types(projections.dtype, jnp.float32))
    distances = jnp.sum(jnp.abs(projections[:, None] - projections[None]), axis=3)  # [N, N, B]
    closeness = jnp.exp(-distances)
    if not include_self:
        # Masked instead of subtracted from the sum, in which the 1 would swamp small similarities.
        closeness = jnp.where(jnp.eye(len(projections), dtype=bool)[:, :, None], 0, closeness)
    return jnp.sum(closeness, axis=1)


class MinibatchDiscrimination(nn.Module):
    """Appends to the features f [N, A] of a batch the similarities of each image to the others: [N, A + B].

    Computes M = f T, then `minibatch_similarity`. Parameters: kernel T [A, B, C], float32; with `weight_norm` also
    log_scale [B, C], initialized to 0, and bias [B], initialized to -1.

    Attributes:
      num_kernels: number B of similarities for each image.
      kernel_dim: width C of the vectors that are compared.
      include_self: whether to compare an image with itself, as in the paper's sum; the paper's code does not.
      mean: whether to divide by the number of images compared, so that the result does not scale with the batch size.
      weight_norm: whether to use the form of the paper's code: each of the B C columns of T is normalized over A and
        scaled by exp(log_scale), and a bias is added to the result.
      kernel_init: initializer of T. The default gives distances of order 1 for features of order 1. Where distances are
        much larger, the exponentials and their gradients vanish. (With `weight_norm` its scale has no effect.)

    References:
      Salimans et al. 2016, section 3.2; the defaults B 100 and C 5 are those of its code.
    """

    num_kernels: int = 100
    kernel_dim: int = 5
    include_self: bool = True
    mean: bool = False
    weight_norm: bool = False
    kernel_init: nn.initializers.Initializer | None = None

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Maps [N, A] to [N, A + B]; computes in at least float32, and returns the dtype of the features.

        Raises:
          FieldError: if the features are not [N, A], or on a mean over the others in a batch of one image.
        """
        if features.ndim != 2:
            raise FieldError("features", Words(f"shape {features.shape}"), "[N, A]")
        batch, width = features.shape
        if batch == 1 and self.mean and not self.include_self:
            raise FieldError("features", Words("a batch of 1 image"), "at least 2 for a mean over the others")
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
