"""SELF-MOD, self-modulation of the normalization by the latent, in the DCGAN or the ResNet generator.

Every batch normalization of the generator computes its gain and offset from z, or with classes from
z' = z + E(c) + E'(c) * z. The discriminator is spectrally normalized, and projects with classes. The forms of the two
bases are those of compare_gan, the authors' code. The families `dcgan` and `resnet` build other forms with
g_norm="self_modulated", which every family with a `g_norm` takes.

References:
  Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", sections 2 and 3.
"""

from typing import Any

from flaxgan.networks import _checks as checks
from flaxgan.networks import dcgan, resnet
from flaxgan.types import Gan

BASES = ("dcgan", "resnet")
_OF_RESNET: dict[str, Any] = {"upsampling": "zeros", "shortcut_kernel": 3, "pooling": "mean"}


def build(
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    base: str = "dcgan",
    z_dim: int = 128,
    hidden: int | None = 32,
    levels: int | None = None,
    g_channels: int = 64,
    g_channels_max: int = 512,
    g_spectral: bool = False,
    d_channels: int = 64,
    d_channels_max: int = 512,
    d_levels: int | None = None,
    d_flat_blocks: int = 1,
    d_norm: str = "none",
    d_spectral: bool = True,
    projection: bool | None = None,
    upsampling: str | None = None,
    shortcut_kernel: int | None = None,
    pooling: str | None = None,
    spectral_eps: float = 1e-12,
    norm_eps: float = 1e-3,
    norm_momentum: float = 0.001,
    dtype: str = "float32",
) -> Gan:
    """Builds the networks of SELF-MOD. The defaults are the SNDCGAN base.

    Images are in [-1, 1], whereas those of compare_gan are in [0, 1]. Channels double as in `dcgan` and `resnet`.

    Args:
      image_shape: (H, W, C), with sides that can be halved `levels` times.
      num_classes: number of classes for conditioning both networks; 0 is unconditional.
      base: 'dcgan' (SNDCGAN, with 3x3 convolutions between strided and transposed ones) or 'resnet'.
      z_dim: width of the latent z.
      hidden: width of the hidden layers between z and gains and offsets; None has no hidden layers.
      levels: number of times that each network halves or doubles the grid (3 in the paper's SNDCGAN); None reaches 4x4.
      g_channels: channels of the last hidden layer of the generator, doubled at each halving of the grid.
      g_channels_max: maximum number of channels of the generator.
      g_spectral: whether the generator is spectrally normalized.
      d_channels: channels of the first layer of the discriminator, doubled at each halving of the grid.
      d_channels_max: maximum number of channels of the discriminator.
      d_levels: 'resnet': number of blocks of the discriminator that halve the grid; None is `levels`.
      d_flat_blocks: 'resnet': number of subsequent blocks of the discriminator, which keep the grid.
      d_norm: normalization of the discriminator: 'none', 'batch', 'layer' or 'instance'.
      d_spectral: whether the discriminator is spectrally normalized.
      projection: whether the discriminator projects features on the class embedding; None does with classes.
      upsampling: 'resnet': 'zeros' (zeros between the pixels), 'nearest' or 'bilinear'; None is 'zeros'.
      shortcut_kernel: 'resnet': side of the kernels of the shortcuts, 1 or 3; None is 3.
      pooling: 'flatten' ('dcgan' only), 'mean' or 'sum'; None is 'flatten' with 'dcgan' and 'mean' with 'resnet'.
      spectral_eps: least length by which spectral normalization divides a vector.
      norm_eps: epsilon added to variances.
      norm_momentum: weight of the new batch in running statistics; short runs need a larger weight.
      dtype: compute type of the layers: 'float32' or 'bfloat16'.

    Returns:
      The Gan.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    checks.require_one_of(BASES, base=base)
    settings: dict[str, Any] = {
        "image_shape": image_shape,
        "num_classes": num_classes,
        "z_dim": z_dim,
        "g_channels": g_channels,
        "g_channels_max": g_channels_max,
        "g_norm": "self_modulated",
        "g_spectral": g_spectral,
        "d_channels": d_channels,
        "d_channels_max": d_channels_max,
        "d_norm": d_norm,
        "d_spectral": d_spectral,
        "projection": projection,
        "spectral_eps": spectral_eps,
        "spectral_from_input": True,
        "norm_eps": norm_eps,
        "norm_momentum": norm_momentum,
        "norm_unbiased": False,
        "hidden": hidden,
        "dtype": dtype,
    }
    if base == "dcgan":
        for field, found in {
            "d_levels": d_levels,
            "upsampling": upsampling,
            "shortcut_kernel": shortcut_kernel,
        }.items():
            checks.require(found is None, field, found, "None with base 'dcgan'")
        checks.require(d_flat_blocks == 1, "d_flat_blocks", d_flat_blocks, "1 with base 'dcgan'")
        return dcgan.build(
            architecture="sndcgan",
            levels=levels,
            use_bias=True,
            d_negative_slope=0.1,
            pooling="flatten" if pooling is None else pooling,
            **settings,
        )
    given = {"upsampling": upsampling, "shortcut_kernel": shortcut_kernel, "pooling": pooling}
    return resnet.build(
        g_levels=levels,
        d_levels=levels if d_levels is None else d_levels,
        d_flat_blocks=d_flat_blocks,
        d_wide=True,
        d_activated_input=True,
        initializer="normal",
        **_OF_RESNET | {field: value for field, value in given.items() if value is not None},
        **settings,
    )
