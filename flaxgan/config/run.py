"""The root config of a run."""

import dataclasses
import math
from typing import Any, Literal

from flaxgan.config.checks import require, require_plain, require_types
from flaxgan.config.parts import (
    AugmentConfig,
    DataConfig,
    EmaConfig,
    GrowthConfig,
    InputNoiseConfig,
    LatentConfig,
    OptimizerConfig,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings that determine the course of a run."""

    network: dict[str, Any]
    """`name`, a module of flaxgan.networks, and keyword arguments of its build()."""
    data: DataConfig = DataConfig()
    """Real images."""
    seed: int = 0
    """Seed of initialization, data order and every random draw."""
    batch_size: int = 32
    """Images per step, over all devices and hosts."""
    total_kimg: float = 25000.0
    """Length of the run in thousands of real images shown to the discriminator."""
    snapshot_kimg: float = 200.0
    """Thousands of images between two checkpoints with a sample grid and metrics."""
    tick_kimg: float = 4.0
    """Thousands of images between two lines of the progress log."""
    loss: str = "non_saturating"
    """Adversarial loss, a function of flaxgan.losses.adversarial."""
    loss_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Keyword-only settings of the loss."""
    d_steps: int = 1
    """Updates of the discriminator per update of the generator, each on batch_size new images."""
    g_batch_size: int | None = None
    """Number of images per update of the generator; None is batch_size."""
    update_order: Literal["g_d", "d_g", "joint"] = "g_d"
    """Order of the updates in a step; joint: both networks from the same state and the same random draws."""
    d_passes: Literal["fakes_first", "reals_first", "concatenated"] = "fakes_first"
    """Passes of D over fakes and reals in its own update: one after the other, each with statistics of its own, or
    concatenated in one pass, whose batch statistics and groups for the minibatch standard deviation span both."""
    d_statistics_in_g: bool = True
    """Move D's statistics (vectors of spectral normalization, running moments) in G's update, too; False leaves them
    there, as SAGAN's code does."""
    share_latents: bool = False
    """Update G on the latents of the step's last update of D; G's statistics then move in the updates of D alone."""
    g_regularizers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """Generator regularizers: functions of flaxgan.losses.regularizers with arguments and `interval` in steps."""
    d_regularizers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """Discriminator regularizers, as g_regularizers."""
    g_optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer of the generator."""
    d_optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer of the discriminator."""
    ema: EmaConfig = EmaConfig()
    """Exponential moving average of the generator."""
    latent: LatentConfig = LatentConfig()
    """Distribution of the latents z."""
    fake_labels: Literal["data", "uniform"] = "data"
    """Labels of generated images in training: drawn with their frequencies in the data, or all classes alike."""
    augment: AugmentConfig = AugmentConfig()
    """Augmentation of the discriminator's inputs."""
    input_noise: InputNoiseConfig = InputNoiseConfig()
    """Noise on the discriminator's inputs."""
    growth: GrowthConfig = GrowthConfig()
    """Progressive growing, for networks that have stages."""
    style_mixing_probability: float = 0.0
    """Probability of style mixing: two latents, crossed over at a random layer. Needs a style-based generator."""
    accumulation_rounds: int = 1
    """Gradient accumulation: rounds in which a batch is processed to save memory; their gradients are averaged."""
    g_accumulation_rounds: int | None = None
    """Number of rounds in an update of the generator; None is accumulation_rounds."""
    init_from: str = ""
    """Run folder or checkpoint that initializes the networks of a new run where names and shapes agree."""
    freeze_d_layers: int = 0
    """Number of frozen discriminator layers, counted from the image (freeze-D)."""
    metrics: tuple[str, ...] = ()
    """Metrics computed at each snapshot, functions of flaxgan.train.evaluation.snapshot_metrics."""
    metric_images: int = 2000
    """Number of generated images for each metric."""
    metric_labels: Literal["data", "uniform"] = "data"
    """Labels of generated images for metrics: drawn with their frequencies in the data, or all classes alike."""
    metric_noise: Literal["random", "const"] = "random"
    """Noise inputs of a style-based generator for metrics: new for each image, or the constants of sample grids."""
    standing_batches: int = 0
    """Batches over which batch-norm statistics are recomputed before sampling; 0 uses the running statistics."""
    keep_checkpoints: int = 3
    """Number of latest checkpoints to keep."""
    keep_every_kimg: float | None = None
    """Keep also the first checkpoint of every interval of this many thousands of images; None disables this."""
    keep_best: str = ""
    """Keep also the best checkpoint by this metric, such as frechet or agreement; or NAME:min, NAME:max."""
    accelerator: Literal["any", "cpu", "gpu", "tpu", "gpu_or_tpu"] = "any"
    """Kind of device that the recipe needs; a run on another kind is refused."""
    matmul_precision: Literal["default", "high", "highest"] = "default"
    """Precision of float32 matrix products and convolutions on accelerators (jax.default_matmul_precision)."""

    def __post_init__(self) -> None:
        require_types(self)
        for field in ("network", "loss_settings", "g_regularizers", "d_regularizers"):
            require_plain(field, getattr(self, field))
        require("name" in self.network, "network", self.network, "a mapping with a 'name'")
        require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 2**32 - 1")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        for field in ("total_kimg", "snapshot_kimg", "tick_kimg"):
            value = getattr(self, field)
            require(0 < value < math.inf, field, value, "a finite number above 0")
        share = self.style_mixing_probability
        require(0 <= share <= 1, "style_mixing_probability", share, "in [0, 1]")
        rounds = self.accumulation_rounds
        allowed = f"a divisor of batch_size {self.batch_size}"
        require(rounds >= 1 and self.batch_size % rounds == 0, "accumulation_rounds", rounds, allowed)
        require(self.d_steps >= 1, "d_steps", self.d_steps, "at least 1")
        self._check_g_batch()
        if self.update_order == "joint":
            require(self.d_steps == 1, "d_steps", self.d_steps, "1, because update_order is joint")
            require(not self.share_latents, "share_latents", True, "False, because update_order is joint")
        require(self.freeze_d_layers >= 0, "freeze_d_layers", self.freeze_d_layers, "0 or more")
        require(self.metric_images >= 1, "metric_images", self.metric_images, "at least 1")
        require(self.standing_batches >= 0, "standing_batches", self.standing_batches, "0 or more")
        require(self.keep_checkpoints >= 1, "keep_checkpoints", self.keep_checkpoints, "at least 1")
        for field in ("fake_labels", "metric_labels"):
            fits = self.data.labels == "classes" or getattr(self, field) == "data"
            require(fits, field, getattr(self, field), f"'data', because data.labels is {self.data.labels!r}")
        every = self.keep_every_kimg
        require(every is None or 0 < every < math.inf, "keep_every_kimg", every, "None or a finite number above 0")

    def _check_g_batch(self) -> None:
        """Checks the number of images and of rounds of the generator's updates."""
        g_batch, g_rounds = self.g_batch_size, self.g_accumulation_rounds
        batch = self.batch_size if g_batch is None else g_batch
        if g_rounds is not None:
            allowed = f"None or a divisor of the generator's batch of {batch}"
            require(g_rounds >= 1 and batch % g_rounds == 0, "g_accumulation_rounds", g_rounds, allowed)
        rounds = self.accumulation_rounds if g_rounds is None else g_rounds
        allowed = f"None or a multiple of its {rounds} accumulation rounds"
        require(batch >= 1 and batch % rounds == 0, "g_batch_size", g_batch, allowed)
        reasons = {"update_order is joint": self.update_order == "joint", "share_latents is True": self.share_latents}
        for reason in (reason for reason, applies in reasons.items() if applies):
            require(batch == self.batch_size, "g_batch_size", g_batch, f"None, because {reason}")
            same = rounds == self.accumulation_rounds
            require(same, "g_accumulation_rounds", g_rounds, f"None, because {reason}")
