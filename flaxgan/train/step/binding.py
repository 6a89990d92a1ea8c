"""From a recipe to code: its names are looked up here, once, when a run is built."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from flaxgan import augment, latent_prior, lookup, networks
from flaxgan.augment import input_noise
from flaxgan.config import Config, InputNoiseConfig, LatentConfig
from flaxgan.errors import FieldError, Words
from flaxgan.latent_prior import LatentPrior
from flaxgan.losses import adversarial, regularizers
from flaxgan.losses.stateful import initial_state
from flaxgan.train.step import optimizers, regularizer_inputs
from flaxgan.train.step.per_network import NETWORKS, PerNetwork
from flaxgan.train.step.random_inputs import LabelSampler, sampler_of
from flaxgan.train.step.regularizer_inputs import INPUTS
from flaxgan.train.step.training_setup import AdversarialLoss, InputNoise, Regularizer, TrainingSetup
from flaxgan.types import Gan

TRAINER_SETTINGS: PerNetwork[dict[str, Any]] = PerNetwork(g={"interval": None, "batch_shrink": 1}, d={"interval": None})
"""Settings of a network's regularizers that the trainer itself uses, with their defaults."""

LOSS_INPUTS = ("real_logits", "fake_logits", "real_class_logits", "fake_class_logits", "real_labels", "fake_labels")
"""The arguments that an adversarial loss can have."""


def build(
    config: Config,
    image_shape: tuple[int, int, int],
    *,
    labels: np.ndarray | None = None,
    constrain: Callable[[Any], Any] | None = None,
) -> TrainingSetup:
    """Turns a completed config into code.

    Args:
      config: as `complete` returns it.
      image_shape: (H, W, C) of the data.
      labels: those of the data, int [M] or vectors [M, K], with whose frequencies labels are drawn. None draws all
        classes alike, or one-hot vectors.
      constrain: see `TrainingSetup`; None leaves arrays where they are.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    gan = build_gan(config, image_shape)
    if config.style_mixing_probability and not gan.has_style:
        allowed = f"0, because network {config.network['name']!r} has no mapping and synthesis networks"
        raise FieldError("config.style_mixing_probability", config.style_mixing_probability, allowed)
    setup = TrainingSetup(
        config=config,
        gan=gan,
        loss=bind_loss(config, gan),
        regularizers=bind_regularizers(config, gan),
        augment_spec=None if config.augment.policy == "off" else _preset(config.augment.preset),
        input_noise=bind_input_noise(config.input_noise),
        labels=_label_sampler(config, labels, uniform=config.fake_labels == "uniform"),
        metric_labels=_label_sampler(config, labels, uniform=config.metric_labels == "uniform"),
        prior=bind_prior(config.latent),
        optimizers=optimizers.build_optimizers(config, gan.d_layers),
    )
    if constrain is not None:
        setup = dataclasses.replace(setup, constrain=constrain)
    return setup.at(0)


def build_gan(config: Config, image_shape: tuple[int, int, int]) -> Gan:
    """Builds the networks that a config names.

    Raises:
      FieldError: naming the field, the value found and the values allowed.
    """
    family = _family(config.network["name"])
    options = {name: value for name, value in config.network.items() if name != "name"}
    _check_names("network", options, _options(family.build))
    try:
        return family.build(image_shape=tuple(image_shape), num_classes=config.data.num_classes, **options)
    except FieldError as error:
        if error.field not in options:
            raise ValueError(f"config.network: {error}") from error
        raise FieldError(f"config.network.{error.field}", error.found, error.allowed) from error
    except ValueError as error:
        raise ValueError(f"config.network: {error}") from error


def bind_loss(config: Config, gan: Gan) -> AdversarialLoss:
    """Looks up the adversarial loss of a config and what it is called with.

    Raises:
      FieldError: if it asks for what there is not, or the networks cannot supply it.
    """
    function = _named("loss", adversarial, config.loss)
    names = _positional(function)
    unknown = [name for name in names if name not in LOSS_INPUTS]
    if unknown:
        raise FieldError(f"config.loss: {config.loss!r}, its argument", unknown[0], ", ".join(LOSS_INPUTS))
    _require_supplied("loss", config, config.loss, names, gan)
    bound = functools.partial(function, **config.loss_settings) if config.loss_settings else function
    return AdversarialLoss(config.loss, bound, _inputs(names))


def bind_regularizers(config: Config, gan: Gan) -> PerNetwork[tuple[Regularizer, ...]]:
    """Looks up the regularizers of a completed config and what they are called with.

    Raises:
      FieldError: if one asks for what the networks cannot supply, or two have state of one name.
    """
    bound = PerNetwork(
        *(
            tuple(_bind_regularizer(config, gan, network, name, settings) for name, settings in chosen.items())
            for network, chosen in zip(NETWORKS, (config.g_regularizers, config.d_regularizers))
        )
    )
    owners: dict[str, str] = {}
    for network in NETWORKS:
        for one in bound.of(network):
            for name in one.initial_state:
                if name in owners:
                    allowed = f"state of other names than that of {owners[name]!r}, which is {name!r}, too"
                    raise FieldError(f"config.{network}_regularizers", one.name, allowed)
                owners[name] = one.name
    return bound


def bind_input_noise(config: InputNoiseConfig) -> InputNoise | None:
    """Returns the noise on the discriminator's inputs, or None without any."""
    if not config.weight:
        return None
    update = functools.partial(input_noise.update_score, decay=config.decay, clip=config.clip)
    follows_reals = config.score == "real"
    return InputNoise(
        strength=functools.partial(input_noise.noise_strength, weight=config.weight, threshold=config.threshold),
        update_score=lambda score, real, fake: update(score, real if follows_reals else fake),
    )


def bind_prior(config: LatentConfig) -> LatentPrior:
    """Returns the distribution of the latents z.

    Raises:
      FieldError: if the bound does not fit it.
    """
    try:
        return latent_prior.named(config.prior, config.bound)
    except FieldError as error:
        raise FieldError(f"config.latent.{error.field}", error.found, error.allowed) from error


def complete(config: Config) -> Config:
    """Writes out every argument of the code that a config names, defaults included.

    Raises:
      FieldError: on a name without code, and on arguments that the code does not take.
    """
    family = _family(config.network["name"])
    _check_names("network", {key: 0 for key in config.network if key != "name"}, _options(family.build))
    return dataclasses.replace(
        config,
        network={"name": config.network["name"], **_defaults(family.build), **config.network},
        loss_settings=_complete_loss(config),
        g_regularizers=_complete_regularizers("g", config.g_regularizers),
        d_regularizers=_complete_regularizers("d", config.d_regularizers),
    )


def _complete_loss(config: Config) -> dict[str, Any]:
    function = _named("loss", adversarial, config.loss)
    _check_names("loss_settings", config.loss_settings, set(_defaults(function)))
    return {**_defaults(function), **config.loss_settings}


def _complete_regularizers(network: str, chosen: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    field, trainer_settings = f"{network}_regularizers", TRAINER_SETTINGS.of(network)
    completed = {}
    for name, settings in chosen.items():
        function = _named(field, regularizers, name)
        _require_network(network, name)
        _check_names(f"{field}.{name}", settings, {*trainer_settings, *_settings(function)})
        completed[name] = {**trainer_settings, **_defaults(function), **settings}
        for setting, default in trainer_settings.items():
            _check_count(f"{field}.{name}.{setting}", completed[name][setting], optional=default is None)
    return completed


def _bind_regularizer(config: Config, gan: Gan, network: str, name: str, settings: Mapping[str, Any]) -> Regularizer:
    function = _named(f"{network}_regularizers", regularizers, name)
    state = initial_state(function)
    names = [argument for argument in _positional(function) if argument not in state]
    _require_supplied(f"{network}_regularizers", config, name, names, gan)
    return Regularizer(
        name=name,
        function=functools.partial(function, **{key: settings[key] for key in _settings(function)}),
        inputs=_inputs(names),
        depth=regularizer_inputs.depth(names),
        initial_state=state,
        interval=settings["interval"],
        batch_shrink=settings.get("batch_shrink", 1),
    )


def _inputs(names: list[str]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    return tuple((name, INPUTS[name].value) for name in names)


def _require_supplied(field: str, config: Config, found: str, names: list[str], gan: Gan) -> None:
    """Refuses code that asks for what the networks do not have."""
    for name in names:
        lacks = INPUTS[name].lacks(gan)
        if lacks:
            network = config.network["name"]
            allowed = f"only with networks that have what it looks at ({name}); network {network!r} {lacks}"
            raise FieldError(f"config.{field}", found, allowed)


def _require_network(network: str, name: str) -> None:
    """Refuses a regularizer that asks for what there is only for the other network."""
    supplied = set(regularizer_inputs.of_network(network))

    def fits(name: str) -> bool:
        function = lookup.function(regularizers, name)
        return set(_positional(function)) <= supplied | set(initial_state(function))

    if not fits(name):
        allowed = ", ".join(filter(fits, lookup.function_names(regularizers)))
        raise FieldError(f"config.{network}_regularizers", name, f"a regularizer of this network: {allowed}")


def _label_sampler(config: Config, labels: np.ndarray | None, *, uniform: bool) -> LabelSampler:
    """Returns a sampler with the frequencies of the data, or of all classes that have images alike."""
    count = config.data.num_classes
    if labels is None:
        labels = np.eye(count) if config.data.labels == "vectors" else np.arange(count)
    return sampler_of(np.unique(labels) if uniform and count else labels, count)


def _preset(name: str) -> augment.AugmentSpec:
    try:
        return augment.preset(name)
    except FieldError as error:
        raise FieldError("config.augment.preset", error.found, error.allowed) from error


def _check_count(field: str, value: Any, *, optional: bool) -> None:
    if value is None and optional:
        return
    if not isinstance(value, int) or value < 1:
        allowed = "a whole number from 1, or None" if optional else "a whole number from 1"
        raise FieldError(f"config.{field}", value, allowed)


def _options(build: Callable) -> set[str]:
    return {name for name in inspect.signature(build).parameters if name not in ("image_shape", "num_classes")}


def _positional(function: Callable) -> list[str]:
    """Returns the arguments of a loss or regularizer that the trainer supplies."""
    parameters = inspect.signature(function).parameters
    return [name for name, p in parameters.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]


def _settings(function: Callable) -> list[str]:
    """Returns the keyword-only arguments of a loss or regularizer, which a recipe gives."""
    parameters = inspect.signature(function).parameters
    return [name for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]


def _defaults(function: Callable) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _family(name: str) -> ModuleType:
    if name not in lookup.module_names(networks):
        raise FieldError("config.network.name", name, ", ".join(lookup.module_names(networks)))
    return lookup.module(networks, name)


def _named(field: str, owner: ModuleType, name: str) -> Callable:
    if name not in lookup.function_names(owner):
        raise FieldError(f"config.{field}", name, ", ".join(lookup.function_names(owner)))
    return lookup.function(owner, name)


def _check_names(field: str, given: dict[str, Any], allowed: set[str]) -> None:
    unknown = [name for name in given if name not in allowed]
    if unknown:
        raise FieldError(f"config.{field}", Words(f"unknown field {unknown[0]!r}"), ", ".join(sorted(allowed)))
