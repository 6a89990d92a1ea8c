"""The parts of a config: data, optimizers, averaging, augmentation, input noise and progressive growing."""

import dataclasses
import math
from typing import Literal

from flaxgan.config.checks import require, require_types


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The real images."""

    source: str = "folder"
    """Kind of source, a module of flaxgan.data.sources: digits, folder, zip, array_record, tfds, synthetic."""
    path: str = ""
    """Folder, file or bucket address, or the name of a TFDS set; empty for digits and synthetic."""
    resolution: int | tuple[int, int] | None = None
    """Image size in pixels, R or HxW; None takes the size of the data."""
    crop: Literal["none", "center"] = "none"
    """center crops images about their centre: to the resolution if resize is none, otherwise to its aspect ratio."""
    resize: Literal["none", "lanczos", "box"] = "none"
    """Antialiased filter for images of another size (FID depends on it); none refuses such images."""
    channels: int = 3
    """Channels that files are converted to: 1 grey, 3 RGB (transparency on white), 4 RGBA."""
    num_classes: int = 0
    """Number of classes, or length of the label vectors, which the data must have; 0 trains without labels."""
    labels: Literal["classes", "vectors"] = "classes"
    """classes: one class for each image; vectors: a list of numbers for each image, e.g. one 0 or 1 per attribute."""
    mirror: bool = False
    """Flip each image left to right with probability 1/2."""
    dequantize: bool = False
    """Add uniform noise as wide as one level of brightness: (level + U(0, 1)) / 128 - 1, as SNGAN does."""
    num_threads: int = 8
    """Number of threads, or processes, that read and decode images on each host."""
    workers: Literal["threads", "processes"] = "threads"
    """processes are faster at 64 px, where threads contend for the GIL; each process takes about 50 MB of memory."""
    cache_gib: float = 1.0
    """Memory for decoded images on each host, in GiB: images that fit are decoded once; 0 disables the cache."""
    on_error: Literal["raise", "skip"] = "raise"
    """For an image that cannot be used: raise stops and names it; skip counts it and takes the next image."""
    hint: str = ""
    """How to get the data and lay them out; shown if they are missing."""

    def __post_init__(self) -> None:
        require_types(self, "data.")
        require(bool(self.source), "data.source", self.source, "the name of a source")
        sides = self.resolution_px or (4, 4)
        require(min(sides) >= 4, "data.resolution", self.resolution, "sides of at least 4 pixels")
        require(self.channels >= 1, "data.channels", self.channels, "at least 1")
        require(self.num_classes >= 0, "data.num_classes", self.num_classes, "0 (no labels) or the number of classes")
        require(
            self.labels == "classes" or self.num_classes > 0, "data.labels", self.labels, "'classes' without classes"
        )
        require(self.num_threads >= 1, "data.num_threads", self.num_threads, "at least 1")
        require(0 <= self.cache_gib < math.inf, "data.cache_gib", self.cache_gib, "a finite number, 0 or more")

    @property
    def resolution_px(self) -> tuple[int, int] | None:
        """The resolution as (height, width), or None if the data decide."""
        if isinstance(self.resolution, int):
            return (self.resolution, self.resolution)
        return self.resolution


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer of one network, built by `flaxgan.train.step.optimizers`."""

    name: str = "adam"
    """Update rule: adam, rmsprop (b2 is its decay rate) or sgd."""
    learning_rate: float = 0.002
    """Learning rate before the correction for lazy regularization."""
    b1: float = 0.0
    """Exponential decay rate of the first moment."""
    b2: float = 0.99
    """Exponential decay rate of the second moment."""
    eps: float = 1e-8
    """Term added to the square root of the second moment."""
    eps_hat: bool = False
    """adam: add eps before the bias correction of the second moment (epsilon hat), as TensorFlow 1 and Chainer do."""
    rampup_kimg: float = 0.0
    """Thousands of images, from the start of the run, over which the learning rate rises to its full value."""
    decay: Literal["none", "linear", "cosine"] = "none"
    """Schedule by which the learning rate falls to 0 at total_kimg."""
    decay_start_kimg: float = 0.0
    """Thousands of images after which the decay begins."""

    def __post_init__(self) -> None:
        require_types(self, "optimizer.")
        require(self.rampup_kimg >= 0, "optimizer.rampup_kimg", self.rampup_kimg, "0 or more")
        require(self.decay_start_kimg >= 0, "optimizer.decay_start_kimg", self.decay_start_kimg, "0 or more")
        require(self.learning_rate > 0, "optimizer.learning_rate", self.learning_rate, "above 0")
        require(0 <= self.b1 < 1, "optimizer.b1", self.b1, "in [0, 1)")
        require(0 <= self.b2 < 1, "optimizer.b2", self.b2, "in [0, 1)")
        require(self.eps > 0, "optimizer.eps", self.eps, "above 0")


@dataclasses.dataclass(frozen=True)
class EmaConfig:
    """Exponential moving average (EMA) of the generator's weights, from which images are sampled."""

    half_life_kimg: float = 10.0
    """Half-life of the average in thousands of images."""
    rampup: float | None = None
    """Upper bound of the half-life as a fraction of the images seen so far; None sets no bound."""
    decay: float | None = None
    """Decay rate per step, used instead of the half-life; None uses the half-life."""
    start_kimg: float = 0.0
    """Thousands of images during which the average is a copy of the generator."""
    before_g: bool = False
    """Average the generator as it was before its own update of the step, one step behind, as PGGAN and StyleGAN do."""
    average_spectral: bool = False
    """Average the vectors of spectral normalization, too, as BigGAN-PyTorch does; False copies them."""

    def __post_init__(self) -> None:
        require_types(self, "ema.")
        require(self.decay is None or 0 <= self.decay < 1, "ema.decay", self.decay, "None or in [0, 1)")
        require(self.start_kimg >= 0, "ema.start_kimg", self.start_kimg, "0 or more")
        require(self.half_life_kimg >= 0, "ema.half_life_kimg", self.half_life_kimg, "0 or more")
        require(self.rampup is None or self.rampup > 0, "ema.rampup", self.rampup, "None or above 0")


@dataclasses.dataclass(frozen=True)
class LatentConfig:
    """The distribution of the latents z in training and in all that is sampled, see `flaxgan.latent_prior`."""

    prior: Literal["normal", "uniform", "truncated_normal"] = "normal"
    """normal; uniform on [-bound, bound]; truncated_normal: normal where no magnitude exceeds the bound."""
    bound: float | None = None
    """Largest magnitude of a component; None is 1 for uniform, 2 for truncated_normal, and none for normal."""

    def __post_init__(self) -> None:
        require_types(self, "latent.")


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of all images that the discriminator sees (Karras et al. 2020a)."""

    policy: Literal["off", "fixed", "ada"] = "off"
    """off; fixed: constant probability p; ada: p follows the overfitting of the discriminator."""
    preset: str = "bgc"
    """Preset of flaxgan.augment: the augmentations that are applied."""
    p: float = 0.0
    """Probability of each augmentation; the initial value with policy ada."""
    p_max: float | None = None
    """ada: upper bound of p; None sets no bound, as in the reference."""
    target: float = 0.6
    """ada: target for the mean sign of the discriminator's logits on real images."""
    interval: int = 4
    """ada: number of steps between two adjustments of p."""
    adjust_kimg: float = 500.0
    """ada: thousands of images in which p can change by 1."""

    def __post_init__(self) -> None:
        require_types(self, "augment.")
        require(0 <= self.p <= 1, "augment.p", self.p, "in [0, 1]")
        require(self.p_max is None or 0 < self.p_max <= 1, "augment.p_max", self.p_max, "None or in (0, 1]")
        require(-1 <= self.target <= 1, "augment.target", self.target, "in [-1, 1]")
        require(self.interval >= 1, "augment.interval", self.interval, "at least 1")
        require(self.adjust_kimg > 0, "augment.adjust_kimg", self.adjust_kimg, "above 0")


@dataclasses.dataclass(frozen=True)
class InputNoiseConfig:
    """Noise on all images that the discriminator sees; its strength follows the score (PGGAN, section A.1)."""

    weight: float = 0.0
    """Factor of the squared excess of the score over the threshold; 0 disables the noise."""
    threshold: float = 0.5
    """Score above which noise is added."""
    decay: float = 0.9
    """Decay rate of the score's moving average."""
    score: Literal["fake", "real"] = "fake"
    """Images whose mean logit is averaged into the score."""
    clip: bool = True
    """Whether the mean logit is clipped to [0, 1] before averaging."""

    def __post_init__(self) -> None:
        require_types(self, "input_noise.")
        require(self.weight >= 0, "input_noise.weight", self.weight, "0 (off) or more")
        require(0 <= self.decay <= 1, "input_noise.decay", self.decay, "in [0, 1]")


@dataclasses.dataclass(frozen=True)
class GrowthConfig:
    """Progressive growing: training starts with small images (PGGAN, section 2)."""

    start_px: int | None = None
    """Shorter side of the first stage's images in pixels; None trains at full size from the start."""
    fade_kimg: float = 600.0
    """Thousands of images over which each new stage is faded in; the first stage has no fade."""
    stabilize_kimg: float = 600.0
    """Thousands of images for which each stage is trained after its fade."""
    batch_sizes: tuple[int, ...] = ()
    """Batch size of each stage, from first to last; empty takes batch_size for all stages."""
    learning_rates: tuple[float, ...] = ()
    """Learning rate of both networks in each stage, from first to last; empty takes those of the optimizers."""
    full_size_penalties: bool = False
    """Take gradient penalties with respect to images enlarged to full size, which divides gradient norms by the
    enlargement, as in the official codes of PGGAN and StyleGAN; False takes them at the size of the stage."""

    def __post_init__(self) -> None:
        require_types(self, "growth.")
        require(self.start_px is None or self.start_px >= 2, "growth.start_px", self.start_px, "None or at least 2")
        for field in ("fade_kimg", "stabilize_kimg"):
            value = getattr(self, field)
            require(0 < value < math.inf, f"growth.{field}", value, "a finite number above 0")
        require(
            all(size >= 1 for size in self.batch_sizes), "growth.batch_sizes", self.batch_sizes, "numbers of at least 1"
        )
        rates = self.learning_rates
        require(all(rate > 0 for rate in rates), "growth.learning_rates", rates, "numbers above 0")
