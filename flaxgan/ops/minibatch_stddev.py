"""Minibatch standard deviation, which shows the discriminator the variation within a batch."""

import jax
import jax.numpy as jnp

from flaxgan.errors import FieldError, Words


def minibatch_stddev(x: jax.Array, *, group_size: int | None, num_channels: int = 1) -> jax.Array:
    """Appends the standard deviation over groups of images as extra channels.

    The batch is the global batch. With G = min(group_size, N) images in a group, the groups are strided: group j of N/G
    holds the images j, j + N/G, j + 2N/G, ... Channels are split into `num_channels` consecutive blocks. Each block
    gives one extra channel: the standard deviation over the group, averaged over the block and all pixels.

    Args:
      x: float [N, H, W, C].
      group_size: images in a group; None takes the whole batch, and a batch smaller than group_size is one group.
      num_channels: extra channels F; must divide C.

    Returns:
      [N, H, W, C + F] in x's dtype. The statistics are float32, or float64 if x is; the root is taken of the
      population variance + 1e-8.

    Raises:
      FieldError: if x is not [N, H, W, C], or the groups do not divide N or C.

    References:
      Karras et al. 2018, section 3; groups and channel blocks are those of the official StyleGAN2 code.
    """
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, C]")
    batch, height, width, channels = x.shape
    group = batch if group_size is None else min(group_size, batch)
    if group < 1 or batch % group:
        raise FieldError("group_size", group_size, f"None or a divisor of the batch size {batch}")
    if num_channels < 1 or channels % num_channels:
        raise FieldError("num_channels", num_channels, f"a divisor of the {channels} channels of x")
    statistics = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # [G, N/G, H, W, F, C/F]: the group is the slow axis, hence the stride.
    y = statistics.reshape(group, batch // group, height, width, num_channels, channels // num_channels)
    variance = jnp.mean(jnp.square(y - jnp.mean(y, axis=0)), axis=0)
    stddev = jnp.mean(jnp.sqrt(variance + 1e-8), axis=(1, 2, 4))  # [N/G, F]
    extra = jnp.tile(stddev, (group, 1))[:, None, None, :].astype(x.dtype)  # [N, 1, 1, F]
    return jnp.concatenate([x, jnp.broadcast_to(extra, (batch, height, width, num_channels))], axis=3)


def averaged_minibatch_stddev(x: jax.Array, *, averaging: str = "all") -> jax.Array:
    """Appends the standard deviation over the whole batch, averaged in one of the ways of the PGGAN code.

    s [H, W, C] is the standard deviation of every activation over the global batch. The extra channels are the same for
    all images of the batch. For each `averaging` they hold:

        all      the mean of s over all axes                                                      1 channel
        groupN   the mean of s over C / N consecutive channels and all pixels, e.g. "group4"      N channels
        channels the mean of s over the channels, one value for each pixel                        1 channel
        spatial  the mean of s over the pixels                                                    C channels
        none     s itself                                                                         C channels
        gpool    the standard deviation of each channel over the batch and its pixels together    C channels
        flat     the standard deviation of all activations together                               1 channel

    Args:
      x: float [N, H, W, C].
      averaging: "all", "group" and a divisor of C, "channels", "spatial", "none", "gpool" or "flat".

    Returns:
      [N, H, W, C + F] in x's dtype. The statistics are float32, or float64 if x is; the root is taken of the
      population variance + 1e-8.

    Raises:
      FieldError: if x is not [N, H, W, C], or on another averaging.

    References:
      Karras et al. 2018, section 3, and the original Theano code. "all" and "groupN" equal `minibatch_stddev` with the
      whole batch as one group. The article's own listing of "all" averages over the channels alone, which is
      "channels" here.
    """
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, C]")
    if averaging == "all":
        return minibatch_stddev(x, group_size=None)
    if averaging.startswith("group"):
        return minibatch_stddev(x, group_size=None, num_channels=_number_of_groups(averaging, x.shape[3]))
    if averaging not in _AVERAGED:
        raise FieldError("averaging", averaging, ", ".join(["all", "groupN", *_AVERAGED]))
    axes, mean_axes = _AVERAGED[averaging]
    statistics = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    variance = jnp.mean(jnp.square(statistics - jnp.mean(statistics, axis=axes, keepdims=True)), axes, keepdims=True)
    extra = jnp.mean(jnp.sqrt(variance + 1e-8), axis=mean_axes, keepdims=True).astype(x.dtype)
    return jnp.concatenate([x, jnp.broadcast_to(extra, (*x.shape[:3], extra.shape[3]))], axis=3)


# averaging -> (axes of the standard deviation, axes of its mean)
_AVERAGED: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "channels": ((0,), (3,)),
    "spatial": ((0,), (1, 2)),
    "none": ((0,), ()),
    "gpool": ((0, 1, 2), ()),
    "flat": ((0, 1, 2, 3), ()),
}


def _number_of_groups(averaging: str, channels: int) -> int:
    number = averaging.removeprefix("group")
    if not number.isdecimal() or int(number) < 1 or channels % int(number):
        raise FieldError("averaging", averaging, f"'group' and a divisor of the {channels} channels")
    return int(number)


def class_minibatch_stddev(x: jax.Array, labels: jax.Array, *, num_channels: int = 1) -> jax.Array:
    """Appends the standard deviation over groups of images of one class; see `minibatch_stddev`.

    In a batch of mixed classes the differences between classes hide the variation within each class. Groups of one
    class reveal a generator that repeats one image per class. The papers do not have this option; it is meant for small
    datasets.

    Args:
      x: float [N, H, W, C].
      labels: [N, K], one-hot or any vectors; images with equal vectors form a class. An image that is alone in its
        class has a standard deviation of 1e-4.
      num_channels: extra channels F; must divide C.

    Returns:
      [N, H, W, C + F] in x's dtype; statistics as in `minibatch_stddev`.

    Raises:
      FieldError: on other shapes, or if num_channels does not divide C.
    """
    if x.ndim != 4:
        raise FieldError("x", Words(f"shape {x.shape}"), "[N, H, W, C]")
    batch, height, width, channels = x.shape
    if labels.ndim != 2 or labels.shape[0] != batch:
        raise FieldError("labels", Words(f"shape {labels.shape}"), f"[{batch}, K]")
    if num_channels < 1 or channels % num_channels:
        raise FieldError("num_channels", num_channels, f"a divisor of the {channels} channels of x")
    statistics = x.astype(jnp.promote_types(x.dtype, jnp.float32)).reshape(batch, -1)
    statistics = statistics - jnp.mean(statistics, axis=0)  # Keeps the difference of squares below accurate.
    same = jnp.all(labels[:, None] == labels, axis=-1).astype(statistics.dtype)  # [N, N], 1 within a class
    share = same / jnp.sum(same, axis=1, keepdims=True)
    variance = jnp.maximum(share @ jnp.square(statistics) - jnp.square(share @ statistics), 0)
    stddev = jnp.sqrt(variance + 1e-8).reshape(batch, height * width, num_channels, channels // num_channels)
    extra = jnp.mean(stddev, axis=(1, 3))[:, None, None, :].astype(x.dtype)  # [N, 1, 1, F]
    return jnp.concatenate([x, jnp.broadcast_to(extra, (batch, height, width, num_channels))], axis=3)
