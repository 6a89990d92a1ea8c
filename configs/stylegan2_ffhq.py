"""StyleGAN2 configuration F on FFHQ at 1024x1024.

Paper:      Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", table 1, configuration F.
Command:    python train.py --config configs/stylegan2_ffhq.py --config.data.path=ffhq1024.zip
Data:       FFHQ, 70,000 images at 1024x1024, as a ZIP of images or (data.source=folder) a folder of them.
Hardware:   8 GPUs with 16 GB or a TPU pod slice; the paper used a DGX-1 (8 V100).
Published:  FID 2.84 (Karras et al. 2020, table 1, configuration F: the snapshot of the lowest FID, the average of ten
            evaluations; fid50k, 50,000 images against 50,000 training images; 2.84 +- 0.03 in the official README).
Reproduced: not reproduced by this project.

Precision: float32, as in the official TensorFlow code; the configuration "stylegan2" of the StyleGAN2-ADA code computes
the four highest resolutions in float16, with a clamp at 256. Products of float32 have the device's default precision:
TF32 on recent GPUs, bfloat16 passes on TPUs, float32 on CPUs; with `--config.matmul_precision=highest` it is float32
everywhere.
"""

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig

HOW_TO_GET_FFHQ = """\
FFHQ, 70,000 photographs at 1024x1024: https://github.com/NVlabs/ffhq-dataset says how to download it.
The folder images1024x1024 of it can be used as it is:
    --config.data.source=folder --config.data.path=.../images1024x1024
or, faster to read over a network, as one uncompressed ZIP file:
    (cd images1024x1024 && zip -q -0 -r ../ffhq1024.zip .)
    --config.data.path=.../ffhq1024.zip"""


def get_config() -> Config:
    """Batch 32, 25,000 kimg, R1 gamma 10, mirrored images."""
    adam = OptimizerConfig(learning_rate=0.002, eps_hat=True)
    return Config(
        network={"name": "stylegan2", "channel_base": 32768, "mapping_layers": 8, "mbstd_group_size": 4},
        data=DataConfig(source="zip", path="datasets/ffhq1024.zip", resolution=1024, mirror=True, hint=HOW_TO_GET_FFHQ),
        batch_size=32,
        total_kimg=25000,
        snapshot_kimg=200,
        g_regularizers={"path_length": {"interval": 4, "batch_shrink": 2, "weight": 2.0}},
        d_regularizers={"r1": {"interval": 16, "gamma": 10.0}},
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=10.0),
        style_mixing_probability=0.9,
        accelerator="gpu_or_tpu",
    )
