"""Checks of a recipe against the devices and the networks before compilation, which takes minutes."""

from typing import Any

import jax

from flaxgan.errors import FieldError, Words
from flaxgan.train.step.per_network import NETWORKS
from flaxgan.train.step.training_setup import TrainingSetup


def check_accelerator(wanted: str) -> None:
    """Checks that the recipe is meant for the devices of this machine.

    Args:
      wanted: the field config.accelerator.

    Raises:
      FieldError: if it is not; the message says what to do.
    """
    found = jax.default_backend()
    if wanted == "any" or found in wanted.split("_or_"):
        return
    only = f"{found} ({jax.device_count()} device(s))"
    raise FieldError(
        "config.accelerator",
        wanted,
        f"'any', because this machine has only {only}. Install the matching extra (pip install 'flaxgan[cuda13]' or "
        "'flaxgan[tpu]'), or run on this machine anyway with --config.accelerator=any",
    )


def check_batch(setup: TrainingSetup) -> None:
    """Checks in all stages of the run that the devices can split the batch, and that the networks accept it.

    Raises:
      FieldError: if they do not.
    """
    config = setup.config
    _check_label_vectors(setup)
    for number in range(len(setup.stages)):
        at = setup.at(number)
        field = "growth.batch_sizes" if config.growth.batch_sizes else "batch_size"
        _check_divisible(field, at, "d")
        _check_divisible("g_batch_size" if config.g_batch_size is not None else field, at, "g")
        _check_shrink(at)
        _check_discriminator(field, at)


def _check_label_vectors(setup: TrainingSetup) -> None:
    if setup.vector_labels is None:
        return
    gan, labels = setup.gan, setup.abstract_labels(1)
    inputs = {"generator": (gan.generator, (gan.z_dim,)), "discriminator": (gan.discriminator, gan.image_shape)}
    for name, (module, shape) in inputs.items():
        keys = {"params": jax.random.key(0), "noise": jax.random.key(0)}
        try:
            jax.eval_shape(module.init, keys, jax.ShapeDtypeStruct((1, *shape), "float32"), labels)
        except ValueError as error:
            network = setup.config.network["name"]
            allowed = f"'classes', because the {name} of network {network!r} refuses vectors: {error}"
            raise FieldError("config.data.labels", "vectors", allowed) from error


def _check_divisible(field: str, setup: TrainingSetup, network: str) -> None:
    devices, rounds, found = jax.device_count(), setup.rounds(network), setup.batch_size(network)
    if found % (devices * rounds):
        own = network == "g" and setup.config.g_accumulation_rounds is not None
        name = "g_accumulation_rounds" if own else "accumulation_rounds"
        allowed = f"a multiple of {devices * rounds} ({devices} device(s) x {name} {rounds})"
        raise FieldError(f"config.{field}", found, allowed)


def _check_discriminator(field: str, setup: TrainingSetup) -> None:
    calls = {(setup.batch_size(network), setup.rounds(network)) for network in NETWORKS}
    if setup.config.d_passes == "concatenated":
        calls.add((2 * setup.batch_size("d"), setup.rounds("d")))
    for num_images, rounds in sorted(calls):
        try:
            _trace_discriminator(setup, num_images // rounds)
        except ValueError as error:
            network = setup.config.network["name"]
            allowed = f"what the discriminator of network {network!r} accepts: {error}"
            raise FieldError(f"config.{field}", Words(f"{num_images} in {rounds} round(s)"), allowed) from error


def _check_shrink(setup: TrainingSetup) -> None:
    per_round = setup.batch_size("g") // setup.rounds("g")
    for name, settings in setup.config.g_regularizers.items():
        shrink = settings["batch_shrink"]
        if per_round % shrink:
            allowed = f"a divisor of {per_round}, the images of a round (batch_size / accumulation_rounds)"
            raise FieldError(f"config.g_regularizers.{name}.batch_shrink", shrink, allowed)


def _trace_discriminator(setup: TrainingSetup, num_images: int) -> None:
    """Traces D on abstract images; computes and allocates nothing."""
    gan, stage = setup.gan, setup.stage
    images = jax.ShapeDtypeStruct((num_images, *stage.image_shape), "float32")
    labels = setup.abstract_labels(num_images) if gan.num_classes else None
    growth: dict[str, Any] = {} if stage.network_stage is None else {"stage": stage.network_stage}
    init = lambda key, images, labels: gan.discriminator.init(key, images, labels, **growth)
    jax.eval_shape(init, jax.random.key(0), images, labels)
