"""Quick start: class-conditional StyleGAN2 on the 1,797 handwritten digits inside scikit-learn, at 16x16.

Paper:      Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN": the networks and the losses.
Command:    python train.py --config configs/quickstart.py     (or `make quickstart`)
Data:       no download: the digits ship inside scikit-learn.
Hardware:   2 CPU cores, a few minutes.
Published:  none; docs/get-started/quickstart.md has the figures of this recipe.
Reproduced: nothing to reproduce.

Two settings keep variety within the classes. With about 0.13 M parameters in each network and 1,797 images,
StyleGAN2's own settings learn ten good digits and then repeat them: at 32 to 64 kimg agreement was .99 and recall .13
to .15, for R1 gamma .005, .1 and 1 alike (one run each, without path length regularization). First, the minibatch
standard deviation compares images of one class (mbstd_by_class), so that the discriminator sees a class that repeats
itself. Second, the learning rate is .006 instead of .0025, because 3,000 steps are few. Noise inputs are off, so that
all variety comes from z. Path length regularization is off, as in the official CIFAR-10 recipe.
"""

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig


def get_config() -> Config:
    """About 0.13 M parameters in each network, 96 kimg."""
    adam = OptimizerConfig(learning_rate=0.006)
    return Config(
        network={
            "name": "stylegan2",
            "z_dim": 64,
            "w_dim": 64,
            "mapping_layers": 2,
            "channel_base": 512,
            "channel_max": 48,
            "use_noise": False,
            "d_mapping_layers": 2,
            "mbstd_num_channels": 4,
            "mbstd_by_class": True,
        },
        data=DataConfig(source="digits", resolution=16, channels=1, num_classes=10),
        batch_size=32,
        total_kimg=96,
        snapshot_kimg=16,
        tick_kimg=2,
        d_regularizers={"r1": {"interval": 16, "gamma": 0.1}},
        g_optimizer=adam,
        d_optimizer=adam,
        ema=EmaConfig(half_life_kimg=4.0, rampup=0.05),
        style_mixing_probability=0.9,
        metrics=("class_quality",),
        metric_images=1797,
    )
