"""One thing for each of the two networks."""

from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class PerNetwork(NamedTuple, Generic[T]):
    """A pair of things, one for the generator and one for the discriminator.

    Attributes:
      g: that of the generator.
      d: that of the discriminator.
    """

    g: T
    d: T

    def of(self, network: str) -> T:
        """Returns that of a network, "g" or "d"."""
        return self.g if network == "g" else self.d


NETWORKS = PerNetwork._fields
"""The names of the two networks."""
