"""How a network normalizes its layers: what all its `GeneratorNorm` layers have in common."""

import dataclasses

import jax

from flaxgan.nn.generator_norm import ClassModulatedLatent, Condition, GeneratorNorm
from flaxgan.nn.layers import SpectralNorm


@dataclasses.dataclass(frozen=True)
class NormConfig:
    """The fields of a network's `GeneratorNorm` layers.

    Attributes:
      kind: one of `flaxgan.nn.generator_norm.NORMS`.
      num_classes: number of classes K; 0 is unconditional.
      eps: added to the variance.
      momentum: share of the new batch in running statistics.
      hidden: width of the hidden layer of "self_modulated"; None is none.
      spectral: spectral normalization of the kernels of "self_modulated"; None is none.
      unbiased: whether running variances are unbiased.
      shared_hidden: whether gain and offset of "self_modulated" are read from one hidden layer, or each from its own.
    """

    kind: str = "batch"
    num_classes: int = 0
    eps: float = 1e-5
    momentum: float = 0.1
    hidden: int | None = 32
    spectral: SpectralNorm | None = None
    unbiased: bool = True
    shared_hidden: bool = True

    def layer(self, name: str) -> GeneratorNorm:
        """A normalization layer; called inside a compact method, it is a submodule of that name."""
        return GeneratorNorm(**vars(self), name=name)

    def without_classes(self) -> "NormConfig":
        """The same, but "batch" instead of "conditional": what generators with conditional blocks end with."""
        return dataclasses.replace(self, kind="batch") if self.kind == "conditional" else self

    def condition(self, z: jax.Array, labels: jax.Array | None) -> Condition:
        """What the layers depend on; inside a compact method, as the submodule `latent` where z meets the classes.

        Args:
          z: latents [N, Z].
          labels: int [N] or float [N, K]; ignored without classes.
        """
        if self.num_classes == 0:
            return Condition(z)
        if self.kind == "self_modulated":
            z = ClassModulatedLatent(self.num_classes, name="latent")(z, labels)
        return Condition(z, labels)
