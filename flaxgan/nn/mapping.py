"""The mapping network from latents and labels to styles."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from flaxgan.errors import FieldError, Words
from flaxgan.nn.equalized import FullyConnected
from flaxgan.nn.precision import at_least_float32
from flaxgan.ops.one_hot import class_vectors
from flaxgan.ops.pixel_norm import normalize_2nd_moment


class MappingNetwork(nn.Module):
    """Maps z, labels or both to w, and broadcasts w to the layers of a synthesis network.

    z and the embedded label are each scaled to a second moment of 1, then concatenated. The buffer w_avg [D] holds the
    moving average of w over training; it exists if num_ws and w_avg_beta are given.

    Attributes:
      z_dim: width of the latent; 0 maps labels only.
      num_classes: width K of the labels; 0 ignores them.
      w_dim: width D of the output.
      num_ws: number L of copies of w, [N, L, D]; None returns [N, D].
      num_layers: depth; 0 returns the normalized inputs, whose width must then be w_dim.
      embed_features: width of the embedded label; None is w_dim.
      layer_features: width between the layers; None is w_dim.
      activation: name of an activation of `flaxgan.ops.bias_act`.
      lr_multiplier: learning rate of the layers (not of the embedding) relative to the other networks.
      w_avg_beta: decay of w_avg per update; None keeps no average.

    References:
      Karras et al. 2019 (StyleGAN), section 2; conditioning as in StyleGAN2-ADA.
    """

    z_dim: int
    num_classes: int
    w_dim: int
    num_ws: int | None
    num_layers: int = 8
    embed_features: int | None = None
    layer_features: int | None = None
    activation: str = "lrelu"
    lr_multiplier: float = 0.01
    w_avg_beta: float | None = 0.995

    @nn.compact
    def __call__(
        self,
        z: jax.Array | None,
        labels: jax.Array | None = None,
        *,
        update_w_avg: bool = False,
        truncation_psi: float | jax.Array = 1.0,
        truncation_cutoff: int | None = None,
    ) -> jax.Array:
        """Maps latents to styles.

        Args:
          z: latents [N, z_dim], or None if z_dim is 0.
          labels: int32 [N] or float [N, K]; ignored if num_classes is 0.
          update_w_avg: whether to move w_avg towards the mean w of this batch, before truncation; the collection
            "buffers" must then be mutable.
          truncation_psi: psi in w_avg + psi (w - w_avg), which replaces w; a Python number or a traced scalar.
          truncation_cutoff: number of first layers to truncate; None truncates all.

        Returns:
          Styles [N, L, D], or [N, D] if num_ws is None.

        Raises:
          FieldError: on latents or labels of another shape, or if updates or truncation need a w_avg that is missing.
        """
        x = self._inputs(z, labels)
        hidden = self.w_dim if self.layer_features is None else self.layer_features
        for layer in range(self.num_layers):
            x = self._layer(x, hidden if layer < self.num_layers - 1 else self.w_dim, f"fc{layer}")

        w_avg = self._w_avg()
        if update_w_avg and not self.is_initializing():
            average = _given_average(w_avg, "update_w_avg", True)
            mean = jax.lax.stop_gradient(x).mean(axis=0)
            average.value = mean + self.w_avg_beta * (average.value - mean)
        if self.num_ws is not None:
            x = jnp.broadcast_to(x[:, None], (x.shape[0], self.num_ws, self.w_dim))  # [N, D] -> [N, L, D]
        if _is_one(truncation_psi):
            return x
        average = _given_average(w_avg, "truncation_psi", truncation_psi)
        return _truncate(x, average.value, truncation_psi, truncation_cutoff)

    def _layer(self, x: jax.Array, features: int, name: str) -> jax.Array:
        layer = FullyConnected(features, activation=self.activation, lr_multiplier=self.lr_multiplier, name=name)
        return layer(x)

    def _inputs(self, z: jax.Array | None, labels: jax.Array | None) -> jax.Array:
        parts = []
        if self.z_dim > 0:
            parts.append(normalize_2nd_moment(checked_latents(z, self.z_dim)))
        if self.num_classes > 0:
            features = self.w_dim if self.embed_features is None else self.embed_features
            embedded = FullyConnected(features, name="embed")(class_vectors(labels, self.num_classes))
            parts.append(normalize_2nd_moment(embedded))
        if not parts:
            raise FieldError("z_dim, num_classes", Words("0 and 0"), "at least one above 0")
        return jnp.concatenate(parts, axis=-1)

    def _w_avg(self) -> nn.Variable | None:
        if self.num_ws is None or self.w_avg_beta is None:
            return None
        return self.variable("buffers", "w_avg", jnp.zeros, (self.w_dim,), jnp.float32)


def checked_latents(z: jax.Array | None, z_dim: int) -> jax.Array:
    """Checks that z is [N, z_dim], and returns it in at least float32.

    Raises:
      FieldError: if it is not.
    """
    if z is None or z.ndim != 2 or z.shape[1] != z_dim:
        found = None if z is None else Words(f"shape {z.shape}")
        raise FieldError("z", found, f"[N, z_dim] = [N, {z_dim}]")
    return at_least_float32(z)


def _truncate(ws: jax.Array, w_avg: jax.Array, psi: float | jax.Array, cutoff: int | None) -> jax.Array:
    """Computes w_avg + psi (w - w_avg) for the layers of ws [N, L, D] below the cutoff."""
    truncated = w_avg + psi * (ws - w_avg)
    if cutoff is None:
        return truncated
    return jnp.where(jnp.arange(ws.shape[1])[:, None] < cutoff, truncated, ws)


def _is_one(psi: float | jax.Array) -> bool:
    """Tests whether psi is known, while tracing, to have no effect."""
    return isinstance(psi, int | float) and psi == 1


def _given_average(w_avg: nn.Variable | None, field: str, found: Any) -> nn.Variable:
    """Returns w_avg, or names the argument that needs it."""
    if w_avg is None:
        default = "False" if field == "update_w_avg" else "1"
        raise FieldError(field, found, f"{default} without w_avg, because num_ws and w_avg_beta are not both given")
    return w_avg
