"""Dense, convolutional and embedding layers, each with optional spectral normalization of its weight."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.nn.precision import at_least_float32
from flaxgan.ops.conv import conv2d
from flaxgan.ops.one_hot import class_vectors
from flaxgan.ops.padding import pad_image
from flaxgan.ops.resampling_conv import downsampling_conv, upsampling_conv
from flaxgan.ops.spectral_norm import power_iteration, spectral_sigma

Initializer = nn.initializers.Initializer

XAVIER = nn.initializers.xavier_uniform()
ZEROS = nn.initializers.zeros


@dataclasses.dataclass(frozen=True)
class SpectralNorm:
    """Settings of spectral normalization, which divides a weight by its largest singular value.

    The weight is a matrix with one row per output: the [K, K, I] numbers of an output channel of a convolution, or the
    vector of a class in an embedding. Layers keep estimates u [rows] and v [columns] of its singular vectors in the
    collection "spectral"; each call in training mode updates them by power iteration before it uses them. Gradients
    flow through sigma = u^T W v, but not through u and v.

    Attributes:
      eps: least length by which a vector is divided.
      iterations: number of power iterations of a call in training mode.
      eval_iterates: True makes one iteration in evaluation mode, too, without storing it, as the official BigGAN code
        does (with eps 1e-6). False uses the stored u and v, as PyTorch does.
      from_input: True starts the iteration from v, as in compare_gan, the code of SELF-MOD; False starts from u.

    Raises:
      FieldError: unless eps is above 0 and iterations is at least 1.

    References:
      Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", algorithm 1.
    """

    eps: float = 1e-12
    iterations: int = 1
    eval_iterates: bool = False
    from_input: bool = False

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise FieldError("eps", self.eps, "above 0")
        if self.iterations < 1:
            raise FieldError("iterations", self.iterations, "at least 1")


class Dense(nn.Module):
    """Dense layer y = x W + b.

    Variables: params kernel [I, O] and bias [O]; with spectral, spectral u [O] and v [I].

    Attributes:
      features: output features O.
      use_bias: whether there is a bias.
      spectral: spectral normalization of the kernel; None disables it.
      kernel_init: initializer of the kernel.
      bias_init: initializer of the bias.
      dtype: compute type; None is the promoted type of input and kernel.
    """

    features: int
    use_bias: bool = True
    spectral: SpectralNorm | None = None
    kernel_init: Initializer = XAVIER
    bias_init: Initializer = ZEROS
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps [..., I] to [..., O]; train updates u and v, and "spectral" must then be mutable."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), jnp.float32)
        kernel = spectrally_normalized(self, kernel, self.spectral, train=train)
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        return _add_bias(self, x @ kernel)


class Conv(nn.Module):
    """Convolution (correlation with the kernel) with a bias.

    Variables: params kernel [K, K, I, O] and bias [O]; with spectral, spectral u [O] and v [K K I].

    Attributes:
      features: output channels O.
      kernel_size: side K of the kernel.
      strides: step between windows in pixels, at least 1.
      padding: zeros on each side of the image in pixels. "SAME" is that of TensorFlow: the result has
        ceil(size / strides) pixels, and an odd zero goes to the end. "VALID" has no padding; None is K // 2.
      use_bias: whether there is a bias.
      spectral: spectral normalization of the kernel; None disables it.
      kernel_init: initializer of the kernel.
      bias_init: initializer of the bias.
      dtype: compute type; None is the promoted type of input and kernel.
    """

    features: int
    kernel_size: int = 3
    strides: int = 1
    padding: int | str | None = None
    use_bias: bool = True
    spectral: SpectralNorm | None = None
    kernel_init: Initializer = XAVIER
    bias_init: Initializer = ZEROS
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps [N, H, W, I] to [N, (H + 2 padding - K) // strides + 1, ..., O]; train as in `Dense`.

        Raises:
          FieldError: on another padding, or if the padded image is smaller than the kernel.
        """
        size = self.kernel_size
        kernel = self.param("kernel", self.kernel_init, (size, size, x.shape[-1], self.features), jnp.float32)
        kernel = spectrally_normalized(self, kernel, self.spectral, train=train)
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        (y0, y1), (x0, x1) = (self._padding_of(pixels) for pixels in x.shape[1:3])
        if self.strides == 1:
            return _add_bias(self, conv2d(x, kernel, padding=(x0, x1, y0, y1)))
        x = pad_image(x, (x0, x1, y0, y1))
        if min(x.shape[1:3]) < size:
            raise FieldError("x", Words(f"{x.shape[1:3]} pixels after padding"), f"at least {size}, the kernel")
        return _add_bias(self, downsampling_conv(x, kernel, self.strides))

    def _padding_of(self, pixels: int) -> tuple[int, int]:
        """Returns the numbers of zeros before and after an axis with this number of pixels."""
        if self.padding == "SAME":
            total = max(-(-pixels // self.strides) * self.strides - self.strides + self.kernel_size - pixels, 0)
            return total // 2, total - total // 2
        padding = self.kernel_size // 2 if self.padding is None else self.padding
        padding = 0 if padding == "VALID" else padding
        if not isinstance(padding, int) or padding < 0:
            raise FieldError("padding", self.padding, "an int of at least 0, 'SAME', 'VALID' or None")
        return padding, padding


class ConvTranspose(nn.Module):
    """Transposed convolution with a bias, which adds each pixel's product with the kernel to the larger image.

    It is the gradient of a convolution of these strides and padding with respect to its input, as in PyTorch.
    Variables: params kernel [K, K, I, O] and bias [O]; with spectral, spectral u [O] and v [K K I].

    Attributes:
      features: output channels O.
      kernel_size: side K of the kernel.
      strides: distance between pixels of the input in the result, at least 1.
      padding: number of pixels cropped from each side of the result.
      use_bias: whether there is a bias.
      spectral: spectral normalization of the kernel; None disables it.
      kernel_init: initializer of the kernel.
      bias_init: initializer of the bias.
      dtype: compute type; None is the promoted type of input and kernel.
    """

    features: int
    kernel_size: int = 4
    strides: int = 2
    padding: int = 1
    use_bias: bool = True
    spectral: SpectralNorm | None = None
    kernel_init: Initializer = XAVIER
    bias_init: Initializer = ZEROS
    dtype: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Maps [N, H, W, I] to [N, (H - 1) strides - 2 padding + K, ..., O]; train as in `Dense`."""
        size = self.kernel_size
        kernel = self.param("kernel", self.kernel_init, (size, size, x.shape[-1], self.features), jnp.float32)
        kernel = spectrally_normalized(self, kernel, self.spectral, train=train)
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        y, before = upsampling_conv(x, kernel[::-1, ::-1], self.strides)
        # The first window begins K - 1 - padding pixels before the first pixel.
        starts = [first - (size - 1 - self.padding) for first in before]
        ends = [
            start + (pixels - 1) * self.strides - 2 * self.padding + size
            for start, pixels in zip(starts, x.shape[1:3], strict=True)
        ]
        crop = (-starts[1], ends[1] - y.shape[2], -starts[0], ends[0] - y.shape[1])
        return _add_bias(self, pad_image(y, crop))


class Embed(nn.Module):
    """Embedding with a vector for each class.

    Variables: params embedding [K, F]; with spectral, spectral u [K] and v [F].

    Attributes:
      num_embeddings: number of classes K, at least 1.
      features: width F of the vectors.
      spectral: spectral normalization of the table; None disables it.
      embedding_init: initializer of the table.
    """

    num_embeddings: int
    features: int
    spectral: SpectralNorm | None = None
    embedding_init: Initializer = XAVIER

    @nn.compact
    def __call__(self, labels: jax.Array | None, *, train: bool = False) -> jax.Array:
        """Maps class indices int [N], or class weights float [N, K], to float32 [N, F]; train as in `Dense`.

        Raises:
          FieldError: if the labels are missing or have another shape or dtype.
        """
        table = self.param("embedding", self.embedding_init, (self.num_embeddings, self.features), jnp.float32)
        # The rows of the matrix of the transposed table are the classes.
        table = spectrally_normalized(self, table.T, self.spectral, train=train).T
        weights, table = nn.dtypes.promote_dtype(class_vectors(labels, self.num_embeddings), table)
        return jnp.matmul(weights, table, precision=jax.lax.Precision.HIGHEST)


def spectrally_normalized(
    module: nn.Module, kernel: jax.Array, spectral: SpectralNorm | None, *, train: bool
) -> jax.Array:
    """Computes kernel / sigma and adds the variables u and v of "spectral" to the layer that owns the kernel.

    Args:
      module: the layer, in its compact method.
      kernel: [..., O]; the matrix has O rows.
      spectral: settings; None returns the kernel unchanged.
      train: whether to update and store u and v.

    Returns:
      Array of the kernel's shape, at least float32. A kernel of zeros gives NaN.
    """
    if spectral is None:
        return kernel
    matrix = at_least_float32(kernel).reshape(-1, kernel.shape[-1]).T  # [R, S]
    u = module.variable("spectral", "u", _random_unit_vector, module, matrix.shape[0])
    v = module.variable("spectral", "v", lambda: power_iteration(matrix, u.value, eps=spectral.eps)[1])
    vectors = u.value, v.value
    if train or spectral.eval_iterates:
        iterations = spectral.iterations if train else 1
        if spectral.from_input:
            vectors = power_iteration(matrix.T, v.value, iterations=iterations, eps=spectral.eps)[::-1]
        else:
            vectors = power_iteration(matrix, u.value, iterations=iterations, eps=spectral.eps)
        if train and not module.is_initializing():
            u.value, v.value = vectors
    return kernel / spectral_sigma(matrix, *vectors)


def _random_unit_vector(module: nn.Module, size: int) -> jax.Array:
    vector = jax.random.normal(module.make_rng("params"), (size,), jnp.float32)
    return vector / jnp.linalg.norm(vector)


def _add_bias(module: Dense | Conv | ConvTranspose, y: jax.Array) -> jax.Array:
    if not module.use_bias:
        return y
    return y + module.param("bias", module.bias_init, (module.features,), jnp.float32).astype(y.dtype)
