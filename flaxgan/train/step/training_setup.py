"""What the phases of a run are made of: the recipe's names turned into code, once, at build time."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import numpy as np

from flaxgan import augment, lookup, networks
from flaxgan.config import Config
from flaxgan.losses import adversarial, regularizers
from flaxgan.train.step import optimizers, stage_plan
from flaxgan.train.step.random_inputs import LabelSampler, label_sampler, vector_sampler
from flaxgan.types import Gan

TRAINER_SETTINGS = {"g_regularizers": {"interval": None, "batch_shrink": 1}, "d_regularizers": {"interval": None}}
"""Settings of a network's regularizers that the trainer itself uses, with their defaults."""

_ANY = ("params", "z", "fake_logits", "fake_features", "image_noise", "uniform_noise", "interpolation")

SUPPLIED = {
    "g_regularizers": (*_ANY, "synthesize", "ws", "pl_mean"),
    "d_regularizers": (*_ANY, "discriminate", "discriminate_fakes", "real_images", "fake_images", "real_logits"),
}
"""What the trainer supplies to the arguments of a network's regularizers; see `flaxgan.train.step.loss_context`."""


def _identity(tree: Any) -> Any:
    return tree


@dataclasses.dataclass(frozen=True)
class TrainingSetup:
    """A recipe's names as code.

    Attributes:
      config: the run.
      gan: its networks.
      optimizers: their optimizers.
      loss: (real_logits, fake_logits) -> (d_loss [N], g_loss [N]).
      labels: sampler of the labels of generated images.
      augment_spec: which augmentations, or None.
      constrain: lays a tree of [rounds, images, ...] arrays over the devices.
      stage_number: the stage of the run that this is a setup for; its first one, unless `at` says otherwise.
    """

    config: Config
    gan: Gan
    optimizers: optimizers.Optimizers
    loss: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    labels: LabelSampler
    augment_spec: Any = None
    constrain: Callable[[Any], Any] = _identity
    stage_number: int = 0

    @functools.cached_property
    def stages(self) -> tuple[stage_plan.Stage, ...]:
        """All stages of the run."""
        return stage_plan.stages(self.config, self.gan)

    @property
    def stage(self) -> stage_plan.Stage:
        """The stage that this is a setup for."""
        return self.stages[self.stage_number]

    @property
    def vector_labels(self) -> LabelSampler | None:
        """The sampler of labels where they are vectors, or None."""
        return self.labels if self.config.data.labels == "vectors" else None

    def abstract_labels(self, num_images: int, **layout: Any) -> jax.ShapeDtypeStruct:
        """The labels of a batch, int32 [N] or float32 [N, K], without their values."""
        if self.vector_labels is None:
            return jax.ShapeDtypeStruct((num_images,), "int32", **layout)
        return jax.ShapeDtypeStruct((num_images, self.gan.num_classes), "float32", **layout)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return stage_plan.total_steps(self.stages)

    def batch_size(self, network: str) -> int:
        """Images of one update of a network, "g" or "d"."""
        if network == "g" and self.config.g_batch_size is not None:
            return self.config.g_batch_size
        return self.stage.batch_size

    def at(self, stage_number: int) -> "TrainingSetup":
        """The same run in another stage."""
        rate = self.stages[stage_number].learning_rate
        built = self.optimizers
        if rate is not None:
            built = optimizers.build(self.config, self.gan.d_layers, learning_rate=rate)
        return dataclasses.replace(self, stage_number=stage_number, optimizers=built)


def build(
    config: Config,
    image_shape: tuple[int, int, int],
    *,
    class_counts: Any = None,
    label_vectors: np.ndarray | None = None,
    constrain: Callable[[Any], Any] = _identity,
) -> TrainingSetup:
    """Turns a completed config into code.

    Args:
      config: as `complete` returns it.
      image_shape: (H, W, C) of the data.
      class_counts: images of each class in the data, [K], or None: then all classes are equally likely.
      label_vectors: those of the data, [M, K], where labels are vectors; None draws one-hot ones.
      constrain: see `TrainingSetup`.

    Raises:
      ValueError: naming the field, what was found and what is allowed.
    """
    gan = build_gan(config, image_shape)
    if config.style_mixing_probability and not gan.has_style:
        raise ValueError(
            f"config.style_mixing_probability: found {config.style_mixing_probability}, allowed: 0, because "
            f"network {config.network['name']!r} has no mapping and synthesis networks to mix styles between"
        )
    _check_possible(config, gan)
    setup = TrainingSetup(
        config=config,
        gan=gan,
        optimizers=optimizers.build(config, gan.d_layers),
        loss=_loss(config),
        labels=_label_sampler(config, class_counts, label_vectors),
        augment_spec=None if config.augment.policy == "off" else _preset(config.augment.preset),
        constrain=constrain,
    )
    return setup.at(0)


def _label_sampler(config: Config, class_counts: Any, label_vectors: np.ndarray | None) -> LabelSampler:
    count = config.data.num_classes
    if config.data.labels == "vectors":
        return vector_sampler(np.eye(count) if label_vectors is None else label_vectors)
    if not count:
        return label_sampler(None)
    return label_sampler([1] * count if class_counts is None else class_counts)


def build_gan(config: Config, image_shape: tuple[int, int, int]) -> Gan:
    """The networks that a config names.

    Raises:
      ValueError: naming the field, what was found and what is allowed.
    """
    family = _named("network.name", networks, config.network["name"], look=lookup.module)
    options = {name: value for name, value in config.network.items() if name != "name"}
    _check_names("network", options, _options(family.build))
    try:
        return family.build(image_shape=tuple(image_shape), num_classes=config.data.num_classes, **options)
    except ValueError as error:
        raise ValueError(f"config.network: {error}") from error


def complete(config: Config) -> Config:
    """The config with every argument of the code it names written out, defaults included.

    Raises:
      ValueError: on a name without code, and on arguments that the code does not take.
    """
    family = _named("network.name", networks, config.network["name"], look=lookup.module)
    _check_names("network", {key: 0 for key in config.network if key != "name"}, _options(family.build))
    return dataclasses.replace(
        config,
        network={"name": config.network["name"], **_defaults(family.build), **config.network},
        loss_settings=_complete_loss(config),
        g_regularizers=_complete_regularizers("g_regularizers", config.g_regularizers),
        d_regularizers=_complete_regularizers("d_regularizers", config.d_regularizers),
    )


def regularizer_settings(name: str) -> dict[str, inspect.Parameter]:
    """The keyword-only settings of a regularizer, which a recipe gives."""
    parameters = inspect.signature(lookup.function(regularizers, name)).parameters
    return {key: p for key, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _complete_loss(config: Config) -> dict[str, Any]:
    function = _named("loss", adversarial, config.loss)
    _check_names("loss_settings", config.loss_settings, set(_defaults(function)))
    return {**_defaults(function), **config.loss_settings}


def _loss(config: Config) -> Callable:
    function = _named("loss", adversarial, config.loss)
    return functools.partial(function, **config.loss_settings) if config.loss_settings else function


def _check_possible(config: Config, gan: Gan) -> None:
    """Refuses regularizers that ask for what the networks do not have."""
    name = config.network["name"]
    for field in ("g_regularizers", "d_regularizers"):
        for regularizer in getattr(config, field):
            wanted = supplied_arguments(regularizer)
            lacks = ""
            if {"synthesize", "ws"} & set(wanted) and not gan.has_style:
                lacks = "has no mapping and synthesis networks"
            if "fake_features" in wanted and not gan.encodes:
                lacks = "has no discriminator that estimates latents"
            if lacks:
                allowed = f"only with networks that have what it regularizes; network {name!r} {lacks}"
                raise ValueError(f"config.{field}: found {regularizer!r}, allowed: {allowed}")


def _complete_regularizers(field: str, chosen: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    completed = {}
    for name, settings in chosen.items():
        function = _named(field, regularizers, name)
        _check_supplied(field, name)
        _check_names(f"{field}.{name}", settings, {*TRAINER_SETTINGS[field], *regularizer_settings(name)})
        completed[name] = {**TRAINER_SETTINGS[field], **_defaults(function), **settings}
        for setting, default in TRAINER_SETTINGS[field].items():
            _check_count(f"{field}.{name}.{setting}", completed[name][setting], optional=default is None)
    return completed


def supplied_arguments(name: str) -> list[str]:
    """The arguments of a regularizer that the trainer supplies."""
    parameters = inspect.signature(lookup.function(regularizers, name)).parameters
    return [key for key, p in parameters.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]


def _check_supplied(field: str, name: str) -> None:
    fits = lambda name: set(supplied_arguments(name)) <= set(SUPPLIED[field])
    if not fits(name):
        allowed = ", ".join(filter(fits, lookup.function_names(regularizers)))
        raise ValueError(f"config.{field}: found {name!r}, a regularizer of the other network, allowed: {allowed}")


def _preset(name: str) -> augment.AugmentSpec:
    try:
        return augment.preset(name)
    except ValueError as error:
        raise ValueError(f"config.augment.preset: {error}") from error


def _check_count(field: str, value: Any, *, optional: bool) -> None:
    if value is None and optional:
        return
    if not isinstance(value, int) or value < 1:
        allowed = "a whole number from 1, or None" if optional else "a whole number from 1"
        raise ValueError(f"config.{field}: found {value!r}, allowed: {allowed}")


def _options(build: Callable) -> set[str]:
    return {name for name in inspect.signature(build).parameters if name not in ("image_shape", "num_classes")}


def _defaults(function: Callable) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _named(field: str, owner: ModuleType, name: str, *, look: Callable = lookup.function) -> Any:
    try:
        return look(owner, name)
    except ValueError as error:
        raise ValueError(f"config.{field}: {error}") from None


def _check_names(field: str, given: dict[str, Any], allowed: set[str]) -> None:
    unknown = [name for name in given if name not in allowed]
    if unknown:
        raise ValueError(f"config.{field}: unknown field {unknown[0]!r}, allowed: {', '.join(sorted(allowed))}")
