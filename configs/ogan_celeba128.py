"""O-GAN on CelebA-HQ at 128x128: a GAN whose discriminator is an encoder.

Paper:      Su 2019, "O-GAN: Extremely Concise Approach for Auto-Encoding Generative Adversarial Networks"; its official
            code for 128x128.
Command:    python train.py --config configs/ogan_celeba128.py --config.data.path=celebahq128.zip
Data:       CelebA-HQ, 30,000 images, resized to 128x128, as a ZIP of images or (data.source=folder) a folder of them.
Hardware:   1 GPU or TPU core.
Published:  no score is quoted here: the official code reports none for 128x128.
Reproduced: not reproduced by this project.

Variants: `selfmod`, the official code's variant with a self-modulated generator and kernels of 4x4, which converges
faster and reconstructs better according to its author; `tiny` and `tiny_selfmod`, small networks of both variants on
16x16 digits, minutes on 2 CPU cores.

One step updates both networks from the same random inputs, as in the official code. That code trains one joint loss:
the mean of E(real) - E(fake) and the quadratic potential for the encoder, the mean of E(fake) for the generator, and
half the negative correlation of z and E(G(z)) for both. The official script runs for 1,000 epochs, here of 30,000
images. Reconstruct images with `flaxgan reconstruct RUN IMAGES --out FILE.png`.
"""

import dataclasses

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig

HOW_TO_GET_CELEBA_HQ = """\
CelebA-HQ, 30,000 photographs of faces: https://github.com/tkarras/progressive_growing_of_gans says how to make it.
Its images, resized to 128x128 by any tool, can be used from a folder:
    --config.data.source=folder --config.data.path=.../images128x128
or, faster to read over a network, from one uncompressed ZIP file:
    (cd images128x128 && zip -q -0 -r ../celebahq128.zip .)
    --config.data.path=.../celebahq128.zip"""

VARIANTS = ("", "selfmod", "tiny", "tiny_selfmod")


def get_config(variant: str = "") -> Config:
    """Batch 64, z 128, RMSprop 1e-4, correlation weight 0.5, no moving average; or a variant of that."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: found {variant!r}, allowed: {', '.join(VARIANTS[1:])}, or none")
    rmsprop = OptimizerConfig(name="rmsprop", learning_rate=1e-4, b2=0.99, eps=1e-7)
    config = Config(
        network={"name": "ogan"},
        data=DataConfig(source="zip", path="datasets/celebahq128.zip", resolution=128, hint=HOW_TO_GET_CELEBA_HQ),
        batch_size=64,
        total_kimg=30000,
        snapshot_kimg=200,
        loss="wasserstein",
        g_regularizers={"latent_correlation": {"weight": 0.5}},
        d_regularizers={"latent_correlation": {"weight": 0.5}, "quadratic_potential": {"weight": 0.25}},
        update_order="joint",
        g_optimizer=rmsprop,
        d_optimizer=rmsprop,
        ema=EmaConfig(half_life_kimg=0.0),
        accelerator="gpu_or_tpu",
    )
    config = _tiny(config) if variant.startswith("tiny") else config
    return _self_modulated(config) if variant.endswith("selfmod") else config


def _tiny(config: Config) -> Config:
    """About 0.07 M parameters in each network, 96 kimg of unlabelled digits."""
    rmsprop = dataclasses.replace(config.d_optimizer, learning_rate=1e-3)
    return dataclasses.replace(
        config,
        network={"name": "ogan", "z_dim": 32, "channels": 32, "norm_momentum": 0.1},
        data=DataConfig(source="digits", resolution=16, channels=1),
        batch_size=32,
        total_kimg=96,
        snapshot_kimg=16,
        tick_kimg=2,
        g_optimizer=rmsprop,
        d_optimizer=rmsprop,
        ema=EmaConfig(half_life_kimg=1.0, rampup=0.05),
        accelerator="any",
    )


def _self_modulated(config: Config) -> Config:
    """Uses kernels of 4x4, and hidden layers as wide as the latent for every gain and every offset."""
    hidden = config.network.get("z_dim", 128)
    extra = {"kernel_size": 4, "g_norm": "self_modulated", "hidden": hidden, "shared_hidden": False}
    return dataclasses.replace(config, network={**config.network, **extra})
