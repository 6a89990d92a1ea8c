"""SELF-MOD: generators whose normalization is modulated by their own latent, on the DCGAN or the ResNet generator.

Every batch normalization of the generator gets its gain and offset from z, or with classes from
z' = z + E(c) + E'(c) * z; the discriminator is spectrally normalized, with classes as projection. The forms of the two
bases are those of compare_gan, the authors' code. Other forms are built by the families `dcgan` and `resnet` with
g_norm="self_modulated", which every family with a `g_norm` takes.

Reference: Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", sections 2 and 3.
"""

from flaxgan.networks import _checks as checks
from flaxgan.networks import dcgan, resnet
from flaxgan.types import Gan

BASES = ("dcgan", "resnet")
_OF_RESNET = {"upsampling": "zeros", "shortcut_kernel": 3, "pooling": "mean"}


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
    """Builds the two networks. The defaults are the SNDCGAN base; compare_gan's images are in [0, 1], these in [-1, 1].

    Args:
      image_shape: (H, W, C): sides that can be halved `levels` times.
      num_classes: classes to condition both networks on; 0 is unconditional.
      base: 'dcgan', transposed and strided convolutions with 3x3 convolutions between them (SNDCGAN), or 'resnet'.
      z_dim: width of the latent z.
      hidden: width of the hidden layers between z and gains and offsets; None is none.
      levels: how often each network halves or doubles the grid; None is down to about 4x4. The paper's SNDCGAN has 3.
      g_channels: channels of the generator's last hidden layer; twice as many at each halving of the grid ...
      g_channels_max: ... but at most this many.
      g_spectral: spectral normalization of the generator.
      d_channels: channels of the discriminator's first layer; twice as many at each halving of the grid ...
      d_channels_max: ... but at most this many.
      d_levels: of 'resnet': blocks of the discriminator that halve the grid; None is `levels`.
      d_flat_blocks: of 'resnet': blocks after them that do not.
      d_norm: 'none', 'batch', 'layer' or 'instance'.
      d_spectral: spectral normalization of the discriminator.
      projection: whether the discriminator compares features and classes; None is with classes.
      upsampling: of 'resnet': 'zeros', 'nearest' or 'bilinear'; None is zeros between the pixels.
      shortcut_kernel: of 'resnet': side of the kernels of the shortcuts, 1 or 3; None is 3.
      pooling: before the discriminator's last layer: 'flatten' (of 'dcgan'), 'mean' or 'sum'; None is 'flatten' for
        'dcgan' and 'mean' for 'resnet'.
      spectral_eps: least length that spectral normalization divides a vector by.
      norm_eps: added to variances.
      norm_momentum: share of the new batch in running statistics; short runs need a larger one.
      dtype: compute type of the layers: 'float32' or 'bfloat16'.

    Returns:
      The Gan.

    Raises:
      ValueError: naming the field, the value found and the values allowed.
    """
    checks.require_one_of(BASES, base=base)
    settings = {
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
