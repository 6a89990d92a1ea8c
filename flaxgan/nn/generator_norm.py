"""Normalization of a generator's layers, selected by name, so that any generator can be self-modulated."""

from typing import Any, NamedTuple

import jax
from flax import linen as nn

from flaxgan.errors import FieldError
from flaxgan.nn.layers import XAVIER, Embed, Initializer, SpectralNorm
from flaxgan.nn.norms import BatchNorm, ConditionalBatchNorm, SampleNorm, SelfModulatedBatchNorm, gains
from flaxgan.nn.optional_inputs import given
from flaxgan.nn.precision import at_least_float32

NORMS = ("batch", "conditional", "self_modulated", "layer", "instance", "none")


class Condition(NamedTuple):
    """Inputs of conditional normalizations.

    Attributes:
      z: latents [N, Z] (from `ClassModulatedLatent` with classes), or None.
      labels: int [N] or float [N, K], or None.
    """

    z: jax.Array | None = None
    labels: jax.Array | None = None


class GeneratorNorm(nn.Module):
    """A normalization of the kinds in NORMS, as the submodule `norm`.

    Attributes:
      kind: "batch", `BatchNorm`; "conditional", gain and offset by class; "self_modulated", gain and offset by z;
        "layer" or "instance", statistics of each sample; "none", the identity.
      num_classes: number of classes K, for "conditional".
      eps: epsilon added to the variance.
      momentum: weight of the new batch in running statistics.
      hidden: width of the hidden layer of "self_modulated"; None has no hidden layer.
      shared_hidden: True computes its gain and offset from one hidden layer, False from one each.
      spectral: spectral normalization of the kernels of "self_modulated"; None disables it.
      unbiased: whether running variances are unbiased.
      gain_stddev: standard deviation of the initial gains of "batch" and "conditional" about 1; None is 0 with "batch"
        and 0.02 with "conditional".
      kernel_init: initializer of the kernels of "self_modulated".

    Raises:
      FieldError: on another kind, or if the condition lacks an input of this kind.
    """

    kind: str
    num_classes: int = 0
    eps: float = 1e-5
    momentum: float = 0.1
    hidden: int | None = 32
    shared_hidden: bool = True
    spectral: SpectralNorm | None = None
    unbiased: bool = True
    gain_stddev: float | None = None
    kernel_init: Initializer = XAVIER

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition, *, train: bool = False) -> jax.Array:
        """Normalizes [N, ..., C]."""
        batch: dict[str, Any] = {
            "momentum": self.momentum,
            "eps": self.eps,
            "unbiased": self.unbiased,
            "name": "norm",
        }
        match self.kind:
            case "none":
                return x
            case "batch":
                return BatchNorm(scale_init=gains(self.gain_stddev or 0.0), **batch)(x, train=train)
            case "conditional":
                if self.num_classes < 1:
                    raise FieldError("num_classes", self.num_classes, "at least 1 with 'conditional'")
                if self.gain_stddev is not None:
                    batch |= {"gain_stddev": self.gain_stddev}
                return ConditionalBatchNorm(self.num_classes, **batch)(x, condition.labels, train=train)
            case "self_modulated":
                z = given("condition.z", condition.z, "float [N, Z] with 'self_modulated'")
                kernels: dict[str, Any] = {"spectral": self.spectral, "kernel_init": self.kernel_init}
                norm = SelfModulatedBatchNorm(self.hidden, self.shared_hidden, **kernels, **batch)
                return norm(x, z, train=train)
            case "layer" | "instance":
                return SampleNorm(per_channel=self.kind == "instance", eps=self.eps, name="norm")(x)
        raise FieldError("kind", self.kind, ", ".join(NORMS))


class ClassModulatedLatent(nn.Module):
    """Computes z' = z + E(c) + E'(c) * z, the latent of conditional self-modulation.

    Variables: params offset/embedding (E) and gain/embedding (E'), both [K, Z].

    Attributes:
      num_classes: number of classes K.

    References:
      Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", equation 5.
    """

    num_classes: int

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        """Maps latents [N, Z] and labels int [N] or float [N, K] to latents [N, Z], at least float32.

        Raises:
          FieldError: if the labels are missing or have another shape or dtype.
        """
        z = at_least_float32(z)
        offset = Embed(self.num_classes, z.shape[-1], name="offset")(labels)
        gain = Embed(self.num_classes, z.shape[-1], name="gain")(labels)
        return z + offset + gain * z
