"""The parts of a config: data, optimizers, averages, augmentation, noise, growing."""

import dataclasses
import math
from typing import Literal

from flaxgan.config.checks import require, require_types


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where real images come from."""

    source: str = "folder"
    """Kind of source, a module of flaxgan.data.sources: digits, folder, zip, array_record, tfds, synthetic."""
    path: str = ""
    """The folder or file, or the name of a TFDS set; empty for sources that ship with a dependency."""
    resolution: int | tuple[int, int] | None = None
    """Image size in pixels, R or HxW; None takes it from the data."""
    crop: Literal["none", "center"] = "none"
    """center cuts images to the resolution's aspect about their centre, or where resize is none, to the resolution."""
    resize: Literal["none", "lanczos", "box"] = "none"
    """Filter, antialiased, for images of another size, on which FID depends; none refuses such images."""
    channels: int = 3
    """Image channels, to which files are converted: 1 grey, 3 RGB (transparency on white), 4 RGBA."""
    num_classes: int = 0
    """Classes to condition on, or numbers in a label vector; 0 trains without labels. The data must have as many."""
    labels: Literal["classes", "vectors"] = "classes"
    """classes: one class an image. vectors: a list of numbers an image, for example a 0 or 1 for each attribute."""
    mirror: bool = False
    """Flip each image left to right with probability 1/2."""
    num_threads: int = 8
    """Threads, or processes, that read and decode images on each host."""
    workers: Literal["threads", "processes"] = "threads"
    """processes are faster for images of 64 px, where threads wait for each other's Python; each takes about 50 MB."""
    cache_gib: float = 1.0
    """Memory for decoded images on each host, in GiB: those that fit are decoded once. 0 keeps none."""
    on_error: Literal["raise", "skip"] = "raise"
    """An image that cannot be used: raise stops and names it; skip takes the next one of the set, and counts."""
    hint: str = ""
    """How to get the data and lay them out; shown when they are missing."""

    def __post_init__(self):
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
        """(height, width), or None where the data decide."""
        if isinstance(self.resolution, int):
            return (self.resolution, self.resolution)
        return self.resolution


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """One network's optimizer, a name and arguments of `flaxgan.train.step.optimizers`."""

    name: str = "adam"
    """Update rule: adam, rmsprop (b2 is its decay) or sgd."""
    learning_rate: float = 0.002
    """Step size, before the correction for lazy regularization."""
    b1: float = 0.0
    """Decay of the first moment."""
    b2: float = 0.99
    """Decay of the second moment."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    rampup_kimg: float = 0.0
    """Thousands of images over which the learning rate rises to its value."""
    decay: Literal["none", "linear", "cosine"] = "none"
    """How the learning rate falls to 0 at total_kimg."""
    decay_start_kimg: float = 0.0
    """Thousands of images after which it begins to fall."""

    def __post_init__(self):
        require_types(self, "optimizer.")
        require(self.rampup_kimg >= 0, "optimizer.rampup_kimg", self.rampup_kimg, "0 or more")
        require(self.decay_start_kimg >= 0, "optimizer.decay_start_kimg", self.decay_start_kimg, "0 or more")
        require(self.learning_rate > 0, "optimizer.learning_rate", self.learning_rate, "above 0")
        require(0 <= self.b1 < 1, "optimizer.b1", self.b1, "in [0, 1)")
        require(0 <= self.b2 < 1, "optimizer.b2", self.b2, "in [0, 1)")
        require(self.eps > 0, "optimizer.eps", self.eps, "above 0")


@dataclasses.dataclass(frozen=True)
class EmaConfig:
    """Exponential moving average of the generator, the network that samples come from."""

    half_life_kimg: float = 10.0
    """Thousands of images after which an old weight counts half."""
    rampup: float | None = None
    """Half-life as a share of the images seen so far while that is shorter; None is off."""
    decay: float | None = None
    """Share of the old average that each step keeps, instead of a half-life; None uses the half-life."""
    start_kimg: float = 0.0
    """Thousands of images before which the average is a copy of the generator."""

    def __post_init__(self):
        require_types(self, "ema.")
        require(self.decay is None or 0 <= self.decay < 1, "ema.decay", self.decay, "None or in [0, 1)")
        require(self.start_kimg >= 0, "ema.start_kimg", self.start_kimg, "0 or more")
        require(self.half_life_kimg >= 0, "ema.half_life_kimg", self.half_life_kimg, "0 or more")
        require(self.rampup is None or self.rampup > 0, "ema.rampup", self.rampup, "None or above 0")


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of everything that the discriminator sees (Karras et al. 2020a)."""

    policy: Literal["off", "fixed", "ada"] = "off"
    """off; fixed: probability p throughout; ada: p follows the discriminator's overfitting."""
    preset: str = "bgc"
    """Which augmentations, a preset of flaxgan.augment."""
    p: float = 0.0
    """Probability of each augmentation: of policy fixed, or the start of policy ada."""
    p_max: float | None = None
    """Upper bound of an adapted p; None is the reference's, without a bound."""
    target: float = 0.6
    """ada: the mean sign of D's logits on reals that p is steered to."""
    interval: int = 4
    """ada: steps between two adjustments of p."""
    adjust_kimg: float = 500.0
    """ada: thousands of images in which p can move by 1."""

    def __post_init__(self):
        require_types(self, "augment.")
        require(0 <= self.p <= 1, "augment.p", self.p, "in [0, 1]")
        require(self.p_max is None or 0 < self.p_max <= 1, "augment.p_max", self.p_max, "None or in (0, 1]")
        require(-1 <= self.target <= 1, "augment.target", self.target, "in [-1, 1]")
        require(self.interval >= 1, "augment.interval", self.interval, "at least 1")
        require(self.adjust_kimg > 0, "augment.adjust_kimg", self.adjust_kimg, "above 0")


@dataclasses.dataclass(frozen=True)
class InputNoiseConfig:
    """Noise on everything that the discriminator sees, whose strength follows its score (PGGAN, section A.1)."""

    weight: float = 0.0
    """Strength for each squared unit of the score above the threshold; 0 is off."""
    threshold: float = 0.5
    """Score from which on there is noise."""
    decay: float = 0.9
    """Share of the old score in its moving average."""
    score: Literal["fake", "real"] = "fake"
    """Whose mean logit is the score."""
    clip: bool = True
    """Whether the mean logit is clipped to [0, 1] before it is averaged."""

    def __post_init__(self):
        require_types(self, "input_noise.")
        require(self.weight >= 0, "input_noise.weight", self.weight, "0 (off) or more")
        require(0 <= self.decay <= 1, "input_noise.decay", self.decay, "in [0, 1]")


@dataclasses.dataclass(frozen=True)
class GrowthConfig:
    """Progressive growing: training begins with small images (PGGAN, section 2)."""

    start_px: int | None = None
    """Shorter side of the first stage's images in pixels; None trains the full size from the start."""
    fade_kimg: float = 600.0
    """Thousands of images over which each new stage is blended in; the first stage has no fade."""
    stabilize_kimg: float = 600.0
    """Thousands of images that each stage is trained after its fade, before the next one begins."""
    batch_sizes: tuple[int, ...] = ()
    """Images per step of each stage, from the first to the last; empty takes batch_size for all."""
    learning_rates: tuple[float, ...] = ()
    """Learning rates of both networks in each stage, likewise; empty takes those of the optimizers."""

    def __post_init__(self):
        require_types(self, "growth.")
        require(self.start_px is None or self.start_px >= 2, "growth.start_px", self.start_px, "None or at least 2")
        for field in ("fade_kimg", "stabilize_kimg"):
            value = getattr(self, field)
            require(0 < value < math.inf, f"growth.{field}", value, "a finite number above 0")
        require(all(size >= 1 for size in self.batch_sizes), "growth.batch_sizes", self.batch_sizes, "numbers from 1")
        rates = self.learning_rates
        require(all(rate > 0 for rate in rates), "growth.learning_rates", rates, "numbers above 0")
