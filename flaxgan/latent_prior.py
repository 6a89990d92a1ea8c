"""Priors of the latent z: the distributions that generators are trained with and sampled from."""

import dataclasses
from typing import Literal, get_args

import jax
import numpy as np

from flaxgan.errors import FieldError

PriorName = Literal["normal", "uniform", "truncated_normal"]
"""Names of the priors."""

DEFAULT_BOUNDS = {"uniform": 1.0, "truncated_normal": 2.0}
"""Largest magnitude of a component where none is given; a normal prior has none."""

MIN_NORMAL_BOUND = 0.01
"""Smallest bound of a truncated normal prior: below it, drawing again takes long."""


@dataclasses.dataclass(frozen=True)
class LatentPrior:
    """The distribution of z, whose components are independent and identically distributed.

    Attributes:
      name: normal, with mean 0 and standard deviation 1; uniform on [-bound, bound]; or truncated_normal, the normal
        distribution on the condition that no magnitude exceeds the bound.
      bound: largest magnitude of a component, above 0; None for a normal prior.

    Raises:
      FieldError: naming the attribute.

    References:
      Radford et al. 2016 (DCGAN), section 4 (uniform); Brock et al. 2019 (BigGAN), section 3.1 and appendix E.
    """

    name: PriorName = "normal"
    bound: float | None = None

    def __post_init__(self) -> None:
        if self.name not in get_args(PriorName):
            raise FieldError("name", self.name, ", ".join(get_args(PriorName)))
        if self.name == "normal":
            if self.bound is not None:
                raise FieldError("bound", self.bound, "None, because a normal prior has no bound")
            return
        least = MIN_NORMAL_BOUND if self.name == "truncated_normal" else 0.0
        if self.bound is None or not 0 < self.bound < np.inf or self.bound < least:
            allowed = f"a finite number from {least}" if least else "a finite number above 0"
            raise FieldError("bound", self.bound, allowed)

    def draw(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Draws z, float32 of a shape."""
        if self.bound is None:
            return jax.random.normal(key, shape)
        if self.name == "uniform":
            return jax.random.uniform(key, shape, minval=-self.bound, maxval=self.bound)
        return jax.random.truncated_normal(key, -self.bound, self.bound, shape)

    def draw_of_seed(self, seed: int, z_dim: int) -> np.ndarray:
        """Draws the z [z_dim] float32 of a seed with NumPy, equal on all machines and in all versions of JAX.

        A normal prior gives the numbers of the official StyleGAN2 code. Components beyond the bound of a truncated
        normal prior are drawn again.

        Args:
          seed: 0 to 2**32 - 1.
          z_dim: number of components.
        """
        random = np.random.RandomState(seed)
        if self.name == "uniform":
            return random.uniform(-1.0, 1.0, z_dim).astype(np.float32) * np.float32(self.bound)
        z = random.randn(z_dim)
        while self.bound is not None and np.any(beyond := np.abs(z) > self.bound):
            z[beyond] = random.randn(int(np.count_nonzero(beyond)))
        return z.astype(np.float32)

    def truncated(self, bound: float | None) -> "LatentPrior":
        """Returns the prior on the condition that no magnitude exceeds another bound; None changes nothing.

        References:
          Brock et al. 2019 (BigGAN), section 3.1, "truncation trick".
        """
        if bound is None or (self.bound is not None and self.bound <= bound):
            return self
        return LatentPrior("uniform" if self.name == "uniform" else "truncated_normal", bound)


NORMAL = LatentPrior()
"""Mean 0 and standard deviation 1."""


def named(name: PriorName, bound: float | None = None) -> LatentPrior:
    """Returns a prior by its name, with its default bound where none is given."""
    return LatentPrior(name, DEFAULT_BOUNDS.get(name) if bound is None else bound)
