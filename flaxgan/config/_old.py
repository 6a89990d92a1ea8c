"""What a run is: frozen dataclasses, validated once, at build time.

A recipe in configs/ returns a `Config`. Fields that name code (`network`, `loss`, the regularizers) hold the code's own
name and its keyword arguments; `flaxgan.train.setup` checks those against the code's signature.
"""

import dataclasses
import json
import math
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def _require(condition: bool, field: str, found: Any, allowed: str) -> None:
    if not condition:
        raise ValueError(f"config.{field}: found {found!r}, allowed: {allowed}")


def _require_types(config: Any, prefix: str = "") -> None:
    """Every field has the type that it is declared with: a recipe is code, which Python does not check."""
    for name, kind in get_type_hints(type(config)).items():
        allowed = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "").removeprefix("Literal")
        _require(_is_a(getattr(config, name), kind), f"{prefix}{name}", getattr(config, name), allowed)


def _is_a(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_is_a(value, one) for one in arguments)
    if origin is tuple and isinstance(value, tuple):
        kinds = arguments[:1] * len(value) if Ellipsis in arguments else arguments
        return len(value) == len(kinds) and all(map(_is_a, value, kinds))
    if origin is dict and isinstance(value, dict):
        return all(_is_a(key, arguments[0]) and _is_a(item, arguments[1]) for key, item in value.items())
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return kind is Any or isinstance(value, origin or kind)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where real images come from."""

    source: str = "folder"
    """Kind of source, a module of flaxgan.data.sources: digits, folder, zip, synthetic."""
    path: str = ""
    """The folder or file; empty for sources that ship with a dependency."""
    resolution: int | tuple[int, int] | None = None
    """Image size in pixels, R or HxW; None takes it from the data."""
    channels: int = 3
    """Image channels: 1 grey, 3 RGB, 4 RGBA."""
    num_classes: int = 0
    """Classes to condition on; 0 trains without labels. The data must have exactly this many."""
    mirror: bool = False
    """Flip each image left to right with probability 1/2."""
    num_threads: int = 8
    """Decoding threads on each host."""
    hint: str = ""
    """How to get the data and lay them out; shown when they are missing."""

    def __post_init__(self):
        _require_types(self, "data.")
        _require(bool(self.source), "data.source", self.source, "the name of a source")
        sides = self.resolution_px or (4, 4)
        _require(min(sides) >= 4, "data.resolution", self.resolution, "sides of at least 4 pixels")
        _require(self.channels >= 1, "data.channels", self.channels, "at least 1")
        _require(self.num_classes >= 0, "data.num_classes", self.num_classes, "0 (no labels) or the number of classes")
        _require(self.num_threads >= 1, "data.num_threads", self.num_threads, "at least 1")

    @property
    def resolution_px(self) -> tuple[int, int] | None:
        """(height, width), or None where the data decide."""
        if isinstance(self.resolution, int):
            return (self.resolution, self.resolution)
        return self.resolution


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """One network's optimizer, a name and arguments of `flaxgan.train.optim`."""

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
        _require_types(self, "optimizer.")
        _require(self.rampup_kimg >= 0, "optimizer.rampup_kimg", self.rampup_kimg, "0 or more")
        _require(self.decay_start_kimg >= 0, "optimizer.decay_start_kimg", self.decay_start_kimg, "0 or more")
        _require(self.learning_rate > 0, "optimizer.learning_rate", self.learning_rate, "above 0")
        _require(0 <= self.b1 < 1, "optimizer.b1", self.b1, "in [0, 1)")
        _require(0 <= self.b2 < 1, "optimizer.b2", self.b2, "in [0, 1)")
        _require(self.eps > 0, "optimizer.eps", self.eps, "above 0")


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
        _require_types(self, "ema.")
        _require(self.decay is None or 0 <= self.decay < 1, "ema.decay", self.decay, "None or in [0, 1)")
        _require(self.start_kimg >= 0, "ema.start_kimg", self.start_kimg, "0 or more")
        _require(self.half_life_kimg >= 0, "ema.half_life_kimg", self.half_life_kimg, "0 or more")
        _require(self.rampup is None or self.rampup > 0, "ema.rampup", self.rampup, "None or above 0")


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
        _require_types(self, "augment.")
        _require(0 <= self.p <= 1, "augment.p", self.p, "in [0, 1]")
        _require(self.p_max is None or 0 < self.p_max <= 1, "augment.p_max", self.p_max, "None or in (0, 1]")
        _require(-1 <= self.target <= 1, "augment.target", self.target, "in [-1, 1]")
        _require(self.interval >= 1, "augment.interval", self.interval, "at least 1")
        _require(self.adjust_kimg > 0, "augment.adjust_kimg", self.adjust_kimg, "above 0")


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
        _require_types(self, "input_noise.")
        _require(self.weight >= 0, "input_noise.weight", self.weight, "0 (off) or more")
        _require(0 <= self.decay <= 1, "input_noise.decay", self.decay, "in [0, 1]")


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
        _require_types(self, "growth.")
        _require(self.start_px is None or self.start_px >= 2, "growth.start_px", self.start_px, "None or at least 2")
        for field in ("fade_kimg", "stabilize_kimg"):
            value = getattr(self, field)
            _require(0 < value < math.inf, f"growth.{field}", value, "a finite number above 0")
        _require(all(size >= 1 for size in self.batch_sizes), "growth.batch_sizes", self.batch_sizes, "numbers from 1")
        rates = self.learning_rates
        _require(all(rate > 0 for rate in rates), "growth.learning_rates", rates, "numbers above 0")


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that decides the course of a run."""

    network: dict[str, Any]
    """`name`, a module of flaxgan.networks, and the keyword arguments of its build()."""
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
    """Thousands of images between two lines of progress."""
    loss: str = "non_saturating"
    """Adversarial loss, a function of flaxgan.losses.adversarial."""
    loss_settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Keyword-only settings of the loss."""
    d_steps: int = 1
    """Updates of the discriminator, each on batch_size new images, for one of the generator."""
    g_batch_size: int | None = None
    """Images that the generator is trained on in a step; None is batch_size."""
    update_order: Literal["g_d", "d_g", "joint"] = "g_d"
    """Which network moves first in a step; joint: both from the same state and the same draws."""
    g_regularizers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """Of the generator: functions of flaxgan.losses.regularizers with their arguments and `interval` in steps."""
    d_regularizers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """Of the discriminator, likewise."""
    g_optimizer: OptimizerConfig = OptimizerConfig()
    """The generator's optimizer."""
    d_optimizer: OptimizerConfig = OptimizerConfig()
    """The discriminator's optimizer."""
    ema: EmaConfig = EmaConfig()
    """Moving average of the generator."""
    augment: AugmentConfig = AugmentConfig()
    """Augmentation in front of the discriminator."""
    input_noise: InputNoiseConfig = InputNoiseConfig()
    """Noise in front of the discriminator."""
    growth: GrowthConfig = GrowthConfig()
    """Progressive growing, for networks that have stages."""
    style_mixing_probability: float = 0.0
    """Share of images made from two latents, crossed over at a random layer. Needs a style-based generator."""
    accumulation_rounds: int = 1
    """Rounds in which a batch is processed, to save memory; the gradients of the rounds are summed."""
    init_from: str = ""
    """Run folder or checkpoint whose networks a new run starts from, as far as names and shapes agree."""
    freeze_d_layers: int = 0
    """Layers of the discriminator, counted from the image, that are not trained (freeze-D)."""
    metrics: tuple[str, ...] = ()
    """Measures taken at each snapshot, functions of flaxgan.train.measures."""
    metric_images: int = 2000
    """Generated images that each measure uses."""
    keep_checkpoints: int = 3
    """Latest checkpoints to keep."""
    accelerator: Literal["any", "cpu", "gpu", "tpu", "gpu_or_tpu"] = "any"
    """Device the recipe is meant for; a run on another one is refused."""
    matmul_precision: Literal["default", "high", "highest"] = "default"
    """Precision of float32 matrix products and convolutions on accelerators (jax.default_matmul_precision)."""

    def __post_init__(self):
        _require_types(self)
        _require("name" in self.network, "network", self.network, "a mapping with a 'name'")
        _require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 2**32 - 1")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        for field in ("total_kimg", "snapshot_kimg", "tick_kimg"):
            value = getattr(self, field)
            _require(0 < value < math.inf, field, value, "a finite number above 0")
        share = self.style_mixing_probability
        _require(0 <= share <= 1, "style_mixing_probability", share, "in [0, 1]")
        rounds = self.accumulation_rounds
        allowed = f"a divisor of batch_size {self.batch_size}"
        _require(rounds >= 1 and self.batch_size % rounds == 0, "accumulation_rounds", rounds, allowed)
        _require(self.d_steps >= 1, "d_steps", self.d_steps, "at least 1")
        g_batch = self.g_batch_size
        allowed = f"None or a multiple of accumulation_rounds {rounds}"
        _require(g_batch is None or (g_batch >= 1 and g_batch % rounds == 0), "g_batch_size", g_batch, allowed)
        if self.update_order == "joint":
            _require(self.d_steps == 1, "d_steps", self.d_steps, "1, because update_order is joint")
            _require(g_batch in (None, self.batch_size), "g_batch_size", g_batch, "None, because update_order is joint")
        _require(self.freeze_d_layers >= 0, "freeze_d_layers", self.freeze_d_layers, "0 or more")
        _require(self.metric_images >= 1, "metric_images", self.metric_images, "at least 1")
        _require(self.keep_checkpoints >= 1, "keep_checkpoints", self.keep_checkpoints, "at least 1")

    @property
    def total_steps(self) -> int:
        """Steps, at least 1, until total_kimg are shown."""
        return max(1, -(-round(self.total_kimg * 1000) // self.batch_size))

    def steps(self, kimg: float) -> int:
        """The number of steps, at least 1, that comes nearest to a number of kimg."""
        return max(1, round(kimg * 1000 / self.batch_size))


def to_json(config: Config) -> str:
    """A config as JSON text, one field a line."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> Config:
    """The config that `to_json` wrote.

    Raises:
      ValueError: on text that is not JSON, and on missing, unknown or wrong fields.
    """
    try:
        return _build(Config, json.loads(text), "config")
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error


def differences(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configs differ: dotted name -> (old value, new value)."""
    flat_old, flat_new = (_flatten(json.loads(to_json(config))) for config in (old, new))
    names = [*flat_old, *(name for name in flat_new if name not in flat_old)]
    pairs = {name: (flat_old.get(name, "(absent)"), flat_new.get(name, "(absent)")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _build(cls: type, values: dict[str, Any], where: str):
    """A dataclass from plain JSON values; nested dataclasses by their default's type."""
    if not isinstance(values, dict):
        raise ValueError(f"{where}: found {values!r}, allowed: an object with the fields of {cls.__name__}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = [name for name in values if name not in fields]
    if unknown:
        raise ValueError(f"{where}: unknown field {unknown[0]!r}, allowed: {', '.join(fields)}")
    missing = [name for name, field in fields.items() if name not in values and _has_no_default(field)]
    if missing:
        raise ValueError(f"{where}: missing field {missing[0]!r}")
    built = {}
    for name, value in values.items():
        nested = dataclasses.is_dataclass(fields[name].type)
        built[name] = _build(fields[name].type, value, f"{where}.{name}") if nested else _tuples(value)
    return cls(**built)


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _tuples(value: Any) -> Any:
    """JSON knows lists only; configs hold tuples."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat
