"""Settings that all `GeneratorNorm` layers of a network share."""

import dataclasses

import jax

from flaxgan.nn.generator_norm import ClassModulatedLatent, Condition, GeneratorNorm
from flaxgan.nn.layers import XAVIER, Initializer, SpectralNorm


@dataclasses.dataclass(frozen=True)
class NormConfig:
    """Settings of the `GeneratorNorm` layers of a network.

    Attributes:
      kind: one of `flaxgan.nn.generator_norm.NORMS`.
      num_classes: number of classes K; 0 is unconditional.
      eps: epsilon added to the variance.
      momentum: weight of the new batch in running statistics.
      hidden: width of the hidden layer of "self_modulated"; None has no hidden layer.
      spectral: spectral normalization of the kernels of "self_modulated"; None disables it.
      unbiased: whether running variances are unbiased.
      shared_hidden: True computes gain and offset of "self_modulated" from one hidden layer, False from one each.
      gain_stddev: see `GeneratorNorm`.
      kernel_init: initializer of the kernels of "self_modulated".
    """

    kind: str = "batch"
    num_classes: int = 0
    eps: float = 1e-5
    momentum: float = 0.1
    hidden: int | None = 32
    spectral: SpectralNorm | None = None
    unbiased: bool = True
    shared_hidden: bool = True
    gain_stddev: float | None = None
    kernel_init: Initializer = XAVIER

    def layer(self, name: str) -> GeneratorNorm:
        """Returns a normalization layer; inside a compact method, it is a submodule with this name."""
        return GeneratorNorm(**vars(self), name=name)

    def without_classes(self) -> "NormConfig":
        """Returns these settings with "batch" instead of "conditional", for the last norm of conditional generators."""
        return dataclasses.replace(self, kind="batch") if self.kind == "conditional" else self

    def condition(self, z: jax.Array, labels: jax.Array | None) -> Condition:
        """Returns the condition of the layers.

        With classes and "self_modulated", this adds the submodule `latent`, a `ClassModulatedLatent`, to the module
        whose compact method calls it.

        Args:
          z: latents [N, Z].
          labels: int [N] or float [N, K]; ignored without classes.
        """
        if self.num_classes == 0:
            return Condition(z)
        if self.kind == "self_modulated":
            z = ClassModulatedLatent(self.num_classes, name="latent")(z, labels)
        return Condition(z, labels)
