"""The normalization of a generator's layers, chosen by name: so any generator can be self-modulated."""

from typing import NamedTuple

import jax
from flax import linen as nn

from flaxgan.nn.layers import Embed, SpectralNorm
from flaxgan.nn.norms import BatchNorm, ConditionalBatchNorm, SampleNorm, SelfModulatedBatchNorm
from flaxgan.nn.precision import at_least_float32

NORMS = ("batch", "conditional", "self_modulated", "layer", "instance", "none")


class Condition(NamedTuple):
    """What normalizations may depend on.

    Attributes:
      z: latents [N, Z] (of `ClassModulatedLatent`, where there are classes), or None.
      labels: int [N] or float [N, K], or None.
    """

    z: jax.Array | None = None
    labels: jax.Array | None = None


class GeneratorNorm(nn.Module):
    """One of the normalizations NORMS, as the submodule `norm`.

    Attributes:
      kind: "batch": BatchNorm; "conditional": gain and offset by class; "self_modulated": gain and offset by z;
        "layer", "instance": statistics of each sample; "none": the input as it is.
      num_classes: number of classes K, for "conditional".
      eps: added to the variance.
      momentum: share of the new batch in running statistics.
      hidden: width of the hidden layer of "self_modulated"; None is none.
      shared_hidden: whether its gain and offset are read from one hidden layer, or each from its own.
      spectral: spectral normalization of the kernels of "self_modulated"; None is none.
      unbiased: whether running variances are unbiased.

    Raises:
      ValueError: on another kind, or if the condition lacks what the kind needs.
    """

    kind: str
    num_classes: int = 0
    eps: float = 1e-5
    momentum: float = 0.1
    hidden: int | None = 32
    shared_hidden: bool = True
    spectral: SpectralNorm | None = None
    unbiased: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, condition: Condition, *, train: bool = False) -> jax.Array:
        """Normalizes [N, ..., C]."""
        batch = {"momentum": self.momentum, "eps": self.eps, "unbiased": self.unbiased, "name": "norm"}
        match self.kind:
            case "none":
                return x
            case "batch":
                return BatchNorm(**batch)(x, train=train)
            case "conditional":
                if self.num_classes < 1:
                    raise ValueError(f"num_classes: found {self.num_classes}, allowed: at least 1 with 'conditional'")
                return ConditionalBatchNorm(self.num_classes, **batch)(x, condition.labels, train=train)
            case "self_modulated":
                if condition.z is None:
                    raise ValueError("condition.z: found None, allowed: float [N, Z] with 'self_modulated'")
                norm = SelfModulatedBatchNorm(self.hidden, self.shared_hidden, spectral=self.spectral, **batch)
                return norm(x, condition.z, train=train)
            case "layer" | "instance":
                return SampleNorm(per_channel=self.kind == "instance", eps=self.eps, name="norm")(x)
        raise ValueError(f"kind: found {self.kind!r}, allowed: {', '.join(NORMS)}")


class ClassModulatedLatent(nn.Module):
    """z' = z + E(c) + E'(c) * z: the latent that conditional self-modulation depends on.

    Variables: params offset/embedding (E) and gain/embedding (E'), both [K, Z].

    Attributes:
      num_classes: number of classes K.

    Reference: Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", equation 5.
    """

    num_classes: int

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array) -> jax.Array:
        """Maps latents [N, Z] and labels int [N] or float [N, K] to latents [N, Z], at least float32."""
        z = at_least_float32(z)
        offset = Embed(self.num_classes, z.shape[-1], name="offset")(labels)
        gain = Embed(self.num_classes, z.shape[-1], name="gain")(labels)
        return z + offset + gain * z
