"""StyleGAN2 on FFHQ at 256x256, the "paper256" configuration of StyleGAN2-ADA.

Paper:      Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", section 4 and appendix C.
Command:    python train.py --config configs/stylegan2_ffhq256.py --config.data.path=ffhq256.zip
Data:       FFHQ resized to 256x256 by a box filter, as a ZIP of images or (data.source=folder) a folder of them.
Hardware:   8 GPUs with 16 GB or a TPU slice; the paper used a DGX-1 (8 V100).
Published:  no score is quoted here: figure 7c of the paper, which has scores for training sets of several sizes, could
            not be opened to check one.
Reproduced: not reproduced by this project.

Precision: the four highest resolutions compute in bfloat16 on every platform, with outputs of layers clamped to 256;
the official code has float16 and the same clamp (`--config.network.dtype=float16` for GPUs). The float32 layers use the
device's default for products of float32: TF32 on recent GPUs, bfloat16 passes on TPUs, float32 on CPUs. The official
code turns TF32 off; `--config.matmul_precision=highest` does so here.
"""

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig

HOW_TO_GET_FFHQ = """\
FFHQ, 70,000 photographs at 1024x1024: https://github.com/NVlabs/ffhq-dataset says how to download it.
Resize its images to 256x256 by a box filter, with which the paper's scores were measured (flaxgan dataset
--resolution 256 --resize box). They can be used from a folder:
    --config.data.source=folder --config.data.path=.../images256x256
or, faster to read over a network, from one uncompressed ZIP file:
    (cd images256x256 && zip -q -0 -r ../ffhq256.zip .)
    --config.data.path=.../ffhq256.zip"""


def get_config() -> Config:
    """Batch 64, half the channels of configuration F, R1 gamma 1, reduced precision at the four highest resolutions."""
    adam = OptimizerConfig(learning_rate=0.0025)
    return Config(
        network={
            "name": "stylegan2",
            "channel_base": 16384,
            "mapping_layers": 8,
            "mbstd_group_size": 8,
            "conv_clamp": 256,
            "dtype": "bfloat16",
        },
        data=DataConfig(source="zip", path="datasets/ffhq256.zip", resolution=256, mirror=True, hint=HOW_TO_GET_FFHQ),
        batch_size=64,
        total_kimg=25000,
        snapshot_kimg=200,
        g_regularizers={"path_length": {"interval": 4, "batch_shrink": 2, "weight": 2.0}},
        d_regularizers={"r1": {"interval": 16, "gamma": 1.0}},
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=20.0),
        style_mixing_probability=0.9,
        accelerator="gpu_or_tpu",
    )
