"""Class-conditional StyleGAN2-ADA on CIFAR-10 at 32x32, the "cifar" configuration.

Paper:      Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", section 4.3, appendix C.
Command:    python train.py --config configs/stylegan2_cifar10.py --config.data.path=cifar10.zip
Data:       the 50,000 training images, as a ZIP with dataset.json or (data.source=folder) one folder per class.
Hardware:   2 GPUs or a TPU host.
Published:  FID 2.42, class-conditional (Karras et al. 2020, abstract and figure 11b: the best over a training run, not
            that of its last networks; fid50k_full, 50,000 images against the training set).
Reproduced: not reproduced by this project.

Precision: all resolutions but 4x4 compute in bfloat16 on every platform, with outputs of layers clamped to 256; the
official code has float16 and the same clamp (`--config.network.dtype=float16` for GPUs). The float32 layers use the
device's default for products of float32: TF32 on recent GPUs, bfloat16 passes on TPUs, float32 on CPUs. The official
code turns TF32 off; `--config.matmul_precision=highest` does so here.
"""

from flaxgan.config import AugmentConfig, Config, DataConfig, EmaConfig, OptimizerConfig

HOW_TO_GET_CIFAR10 = """\
CIFAR-10 is at https://www.cs.toronto.edu/~kriz/cifar.html. Write its 50,000 training images as PNG files into one
folder a class, airplane/ to truck/, and train with
    --config.data.source=folder --config.data.path=FOLDER
or put them into one ZIP file with a dataset.json at its top: {"labels": [["airplane/00000.png", 0], ...]}"""


def get_config() -> Config:
    """Batch 64, 100,000 kimg, R1 gamma 0.01, an 'orig' discriminator, neither path lengths nor style mixing."""
    adam = OptimizerConfig(learning_rate=0.0025)
    # The official code omits path length regularization but keeps its correction of the optimizer, c = 4 / 5.
    g_adam = OptimizerConfig(learning_rate=0.0025 * 4 / 5, b2=0.99 ** (4 / 5))
    return Config(
        network={
            "name": "stylegan2",
            "channel_base": 32768,
            "mapping_layers": 2,
            "d_architecture": "orig",
            "mbstd_group_size": 32,
            "conv_clamp": 256,
            "dtype": "bfloat16",
        },
        data=DataConfig(
            source="zip", path="datasets/cifar10.zip", resolution=32, num_classes=10, hint=HOW_TO_GET_CIFAR10
        ),
        batch_size=64,
        total_kimg=100000,
        snapshot_kimg=200,
        d_regularizers={"r1": {"interval": 16, "gamma": 0.01}},
        g_optimizer=g_adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=500.0, rampup=0.05),
        augment=AugmentConfig(policy="ada", preset="bgc", target=0.6),
        accelerator="gpu_or_tpu",
    )
