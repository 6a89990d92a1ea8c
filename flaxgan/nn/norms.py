"""Batch normalization: plain, conditional on classes or vectors, and modulated by the latent.

Each layer keeps running statistics `mean` and `var` [C] in the collection "batch_stats". In training mode it normalizes
with the mean and (biased) variance of the batch over all axes but the last, and updates the running statistics. The
batch is the global batch, over all devices. In evaluation mode it normalizes with the running statistics. Statistics
are float32, or float64 if x is; the result has x's dtype.

A call in training mode with a mutable collection "batch_moments" also stores the batch's own `mean` and `var` there, in
the tree structure of "batch_stats". `flaxgan.nn.batch_moments` computes standing statistics from them.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError
from flaxgan.nn.layers import ZEROS, Dense, Embed, Initializer, SpectralNorm
from flaxgan.nn.precision import at_least_float32

ONES = nn.initializers.ones

STATISTICS = ("batch", "instance", "none")


class BatchNorm(nn.Module):
    """Batch normalization (x - mean) / sqrt(var + eps) * scale + bias.

    Variables: params scale and bias [C]; batch_stats mean and var [C].

    Attributes:
      momentum: weight of the new batch in the running statistics (the decay of the papers is 1 - momentum).
      eps: epsilon added to the variance.
      use_scale: whether there is a scale.
      use_bias: whether there is a bias.
      unbiased: True averages the batch's variance times n / (n - 1), as PyTorch does; False the biased variance.
      scale_init: initializer of the scale.
      bias_init: initializer of the bias.

    References:
      Ioffe and Szegedy 2015, "Batch Normalization", algorithms 1 and 2.
    """

    momentum: float = 0.1
    eps: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    unbiased: bool = True
    scale_init: Initializer = ONES
    bias_init: Initializer = ZEROS

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Normalizes [..., C]."""
        channels = x.shape[-1:]
        y = standardized(self, x, train=train)
        if self.use_scale:
            y = y * self.param("scale", self.scale_init, channels, jnp.float32)
        if self.use_bias:
            y = y + self.param("bias", self.bias_init, channels, jnp.float32)
        return y.astype(x.dtype)


class ConditionalBatchNorm(nn.Module):
    """Batch normalization with a gain and an offset for each class: x_hat * gain[c] + offset[c].

    Variables: params embed/embedding [K, 2C], gain | offset; batch_stats mean and var [C].

    Attributes:
      num_classes: number of classes K.
      momentum: see `BatchNorm`.
      eps: see `BatchNorm`.
      unbiased: see `BatchNorm`.
      gain_stddev: standard deviation of the initial gains about 1; 0.02 is that of the mimicry library, 0 that of the
        authors of projection discriminators and of SAGAN.

    References:
      Dumoulin et al. 2017, "A Learned Representation For Artistic Style", equation 5; for GANs, Miyato and Koyama 2018,
      "cGANs with Projection Discriminator".
    """

    num_classes: int
    momentum: float = 0.1
    eps: float = 1e-5
    unbiased: bool = True
    gain_stddev: float = 0.02

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None, *, train: bool = False) -> jax.Array:
        """Normalizes [N, ..., C] by labels int [N] or float [N, K].

        Raises:
          FieldError: if the labels are missing or have another shape or dtype.
        """
        init = _gains_and_offsets(self.gain_stddev)
        embed = Embed(self.num_classes, 2 * x.shape[-1], embedding_init=init, name="embed")
        gain, offset = jnp.split(embed(labels), 2, axis=-1)
        return _modulated(standardized(self, x, train=train), gain, offset, x.dtype)


class LinearConditionalBatchNorm(nn.Module):
    """Batch normalization modulated by a vector y: x_hat * (1 + y A) + y B.

    Variables: params gain/kernel and offset/kernel [Y, C]; batch_stats mean and var [C]; with spectral, spectral
    gain/u, gain/v, offset/u, offset/v.

    Attributes:
      statistics: one of STATISTICS. "batch" normalizes as `BatchNorm`; "instance" uses the moments of each sample's
        channels in training mode and their running averages in evaluation mode, as in the BigGAN-PyTorch library;
        "none" takes x as x_hat.
      momentum: see `BatchNorm`.
      eps: see `BatchNorm`.
      unbiased: see `BatchNorm`.
      spectral: spectral normalization of A and B; None disables it.
      kernel_init: initializer of A and B.

    Raises:
      FieldError: on other statistics.

    References:
      Brock et al. 2019 (BigGAN), appendix B, where y is the class embedding and a chunk of z.
    """

    statistics: str = "batch"
    momentum: float = 0.1
    eps: float = 1e-5
    unbiased: bool = True
    spectral: SpectralNorm | None = None
    kernel_init: Initializer = nn.initializers.orthogonal()

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array, *, train: bool = False) -> jax.Array:
        """Normalizes [N, ..., C] by vectors y [N, Y]."""
        if self.statistics not in STATISTICS:
            raise FieldError("statistics", self.statistics, ", ".join(STATISTICS))
        settings: dict[str, Any] = {"use_bias": False, "spectral": self.spectral, "kernel_init": self.kernel_init}
        y = at_least_float32(y)
        gain = 1 + Dense(x.shape[-1], **settings, name="gain")(y, train=train)
        offset = Dense(x.shape[-1], **settings, name="offset")(y, train=train)
        if self.statistics == "none":
            return _modulated(x, gain, offset, x.dtype)
        x_hat = standardized(self, x, train=train, per_sample=self.statistics == "instance")
        return _modulated(x_hat, gain, offset, x.dtype)


class SelfModulatedBatchNorm(nn.Module):
    """Batch normalization whose gain and offset are functions of the latent: x_hat * gamma(z) + beta(z).

    With h = relu(z W1 + b1), gamma = h W2 + b2 and beta = h W3 + b3; b2 is initialized to 1, the other biases to 0.
    Variables: params hidden (or gamma_hidden and beta_hidden), gamma and beta, each with kernel and bias; batch_stats
    mean and var [C]; with spectral, spectral u and v of each kernel.

    Attributes:
      hidden: width of h; None has no h, and gamma and beta are linear in z.
      shared_hidden: True computes gamma and beta from one h, as in the authors' code; False from one each.
      momentum: see `BatchNorm`; 0.001 in the authors' code.
      eps: see `BatchNorm`.
      unbiased: see `BatchNorm`; False in the authors' code.
      spectral: spectral normalization of all kernels; None disables it.
      kernel_init: initializer of all kernels.

    References:
      Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", equations 3 and 4.
    """

    hidden: int | None = 32
    shared_hidden: bool = True
    momentum: float = 0.1
    eps: float = 1e-3
    unbiased: bool = True
    spectral: SpectralNorm | None = None
    kernel_init: Initializer = nn.initializers.xavier_uniform()

    @nn.compact
    def __call__(self, x: jax.Array, z: jax.Array, *, train: bool = False) -> jax.Array:
        """Normalizes [N, ..., C] by latents [N, Z]."""
        settings: dict[str, Any] = {"spectral": self.spectral, "kernel_init": self.kernel_init}

        def hidden(width: int, name: str) -> jax.Array:
            return nn.relu(Dense(width, **settings, name=name)(z, train=train))

        z = at_least_float32(z)
        if self.hidden is None:
            for_gamma = for_beta = z
        elif self.shared_hidden:
            for_gamma = for_beta = hidden(self.hidden, "hidden")
        else:
            for_gamma, for_beta = hidden(self.hidden, "gamma_hidden"), hidden(self.hidden, "beta_hidden")
        gamma = Dense(x.shape[-1], **settings, bias_init=ONES, name="gamma")(for_gamma, train=train)
        beta = Dense(x.shape[-1], **settings, name="beta")(for_beta, train=train)
        return _modulated(standardized(self, x, train=train), gamma, beta, x.dtype)


class SampleNorm(nn.Module):
    """Normalization (x - mean) / sqrt(var + eps) * scale + bias with the statistics of each sample.

    Variables: params scale and bias [C].

    Attributes:
      per_channel: True takes statistics over the pixels of each channel (instance normalization), False over the whole
        sample (layer normalization).
      eps: epsilon added to the variance.

    References:
      Ba et al. 2016, "Layer Normalization"; Ulyanov et al. 2016, "Instance Normalization".
    """

    per_channel: bool = False
    eps: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalizes [N, ..., C]."""
        axes = tuple(range(1, x.ndim - 1 if self.per_channel else x.ndim))
        values = at_least_float32(x)
        mean, var = _moments(values, axes)
        scale = self.param("scale", ONES, x.shape[-1:], jnp.float32)
        bias = self.param("bias", ZEROS, x.shape[-1:], jnp.float32)
        return ((values - mean) * jax.lax.rsqrt(var + self.eps) * scale + bias).astype(x.dtype)


_BatchNormModule = BatchNorm | ConditionalBatchNorm | LinearConditionalBatchNorm | SelfModulatedBatchNorm


def standardized(module: _BatchNormModule, x: jax.Array, *, train: bool, per_sample: bool = False) -> jax.Array:
    """Computes (x - mean) / sqrt(var + eps) and adds the running statistics to the layer that calls it.

    Args:
      module: the layer, in its compact method; it has momentum, eps and unbiased.
      x: [..., C].
      train: whether to use and store the statistics of the batch.
      per_sample: whether each sample has its own statistics in training mode; their means are stored.

    Returns:
      Array of x's shape, at least float32.
    """
    values, channels = at_least_float32(x), x.shape[-1:]
    running_mean = module.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
    running_var = module.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
    mean, var = running_mean.value, running_var.value
    if train:
        mean, var = _moments(values, tuple(range(int(per_sample), x.ndim - 1)))
        if not module.is_initializing():
            count = x.size // mean.size
            correction = count / max(count - 1, 1) if module.unbiased else 1
            _store(module, "mean", running_mean, mean.reshape(-1, *channels).mean(axis=0))
            _store(module, "var", running_var, var.reshape(-1, *channels).mean(axis=0) * correction)
    return (values - mean) * jax.lax.rsqrt(var + module.eps)


def _store(module: _BatchNormModule, name: str, running: nn.Variable, moment: jax.Array) -> None:
    """Updates the running statistic, and stores the batch's own in "batch_moments"."""
    running.value = (1 - module.momentum) * running.value + module.momentum * moment
    module.sow("batch_moments", name, moment, reduce_fn=lambda _, new: new, init_fn=lambda: None)


def _moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Computes mean and biased variance over the axes, and keeps the axes."""
    mean = jnp.mean(x, axis=axes, keepdims=True)
    return mean, jnp.mean(jnp.square(x - mean), axis=axes, keepdims=True)


def _modulated(x: jax.Array, gain: jax.Array, offset: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """Computes x [N, ..., C] times gain [N, C] plus offset [N, C]."""
    shape = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])
    return (x * gain.reshape(shape) + offset.reshape(shape)).astype(dtype)


def gains(stddev: float) -> Initializer:
    """Returns an initializer of gains from N(1, stddev)."""
    if stddev == 0:
        return ONES
    return lambda key, shape, dtype=jnp.float32: 1 + stddev * jax.random.normal(key, shape, dtype)


def _gains_and_offsets(stddev: float) -> Initializer:
    """Returns an initializer of tables [K, 2C] with gains from N(1, stddev) and offsets of 0."""

    def init(key: jax.Array, shape: tuple[int, int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        classes, width = shape
        offsets = jnp.zeros((classes, width - width // 2), dtype)
        return jnp.concatenate([gains(stddev)(key, (classes, width // 2), dtype), offsets], axis=1)

    return init
