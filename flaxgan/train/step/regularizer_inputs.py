"""The table of everything that a regularizer can ask for by the name of an argument.

A new input is one entry of `INPUTS`. An entry that draws random numbers takes its key from `context.key(name)`, which
is a key of its own for each name, step, phase and round, so that other draws stay as they are.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from flaxgan.ops.resampling import box_downsample, nearest_upsample
from flaxgan.train.step.loss_context import Depth, LossContext
from flaxgan.types import Gan


@dataclasses.dataclass(frozen=True)
class Input:
    """One thing that regularizers can ask for.

    Attributes:
      value: returns it for a round.
      depth: how much of the round has to be computed for it.
      networks: regularizers of which networks can ask for it: "gd", "g" or "d".
      lacks: tells why networks cannot supply it, or returns None where they can.
    """

    value: Callable[[LossContext], Any]
    depth: Depth = Depth.NOTHING
    networks: str = "gd"
    lacks: Callable[[Gan], str | None] = lambda gan: None


def _no_styles(gan: Gan) -> str | None:
    return None if gan.has_style else "has no mapping and synthesis networks"


def _no_encoder(gan: Gan) -> str | None:
    return None if gan.encodes else "has no discriminator that estimates latents"


def _no_class_logits(gan: Gan) -> str | None:
    labels = jnp.zeros((1,), jnp.int32) if gan.num_classes else None
    call = lambda key, images: gan.discriminator.init_with_output(key, images, labels)[0].class_logits
    found = jax.eval_shape(call, jax.random.key(0), jnp.zeros((1, *gan.image_shape)))
    return "has no discriminator with class logits" if found is None else None


def _no_labels(gan: Gan) -> str | None:
    return None if gan.num_classes else "is trained without labels (config.data.num_classes is 0)"


def _discriminate(context: LossContext) -> Callable[[jax.Array], jax.Array]:
    at_stage_size = _shrunk(context)
    return lambda images: context.judge_reals(at_stage_size(images), context.state.d.variables).output.logits


def _discriminate_fakes(context: LossContext) -> Callable[[jax.Array], jax.Array]:
    at_stage_size = _shrunk(context)
    return lambda images: context.judge_fakes(at_stage_size(images), context.state.d.variables).output.logits


def _enlarged(context: LossContext, images: Any) -> jax.Array:
    """Returns images [N, H, W, C] of the stage's size as D's regularizers see them, see `full_size_penalties`."""
    return nearest_upsample(images, _enlargement(context))


def _shrunk(context: LossContext) -> Callable[[jax.Array], jax.Array]:
    """Returns the function that brings such images back to the stage's size."""
    return lambda images: box_downsample(images, _enlargement(context))


def _enlargement(context: LossContext) -> int:
    if not context.setup.config.growth.full_size_penalties:
        return 1
    return context.setup.gan.image_shape[0] // context.setup.stage.image_shape[0]


INPUTS: dict[str, Input] = {
    # Of the step and of the trained network.
    "step": Input(lambda context: context.state.step),
    "params": Input(lambda context: context.params),
    # Random numbers.
    "z": Input(lambda context: context.inputs.latents.z),
    "image_noise": Input(lambda context: context.inputs.image_noise),
    "uniform_noise": Input(lambda context: _enlarged(context, context.inputs.uniform_noise)),
    "interpolation": Input(lambda context: context.inputs.interpolation),
    # Images and labels.
    "real_images": Input(lambda context: _enlarged(context, context.reals.images), networks="d"),
    "real_labels": Input(lambda context: context.reals.labels, lacks=_no_labels),
    "fake_labels": Input(lambda context: context.inputs.latents.labels, lacks=_no_labels),
    "fake_images": Input(
        lambda context: _enlarged(context, jax.lax.stop_gradient(context.fakes.images)), Depth.FAKES, networks="d"
    ),
    # The generator.
    "ws": Input(lambda context: context.ws, Depth.STYLES, networks="g", lacks=_no_styles),
    "synthesize": Input(lambda context: context.synthesize, Depth.STYLES, networks="g", lacks=_no_styles),
    # The discriminator.
    "fake_logits": Input(lambda context: context.fake_call.output.logits, Depth.FAKE_LOGITS),
    "fake_features": Input(lambda context: context.fake_call.output.features, Depth.FAKE_LOGITS, lacks=_no_encoder),
    "fake_class_logits": Input(
        lambda context: context.fake_call.output.class_logits, Depth.FAKE_LOGITS, lacks=_no_class_logits
    ),
    "real_logits": Input(lambda context: context.real_call.output.logits, Depth.REAL_LOGITS, networks="d"),
    "real_class_logits": Input(
        lambda context: context.real_call.output.class_logits, Depth.REAL_LOGITS, networks="d", lacks=_no_class_logits
    ),
    "discriminate": Input(_discriminate, networks="d"),
    "discriminate_fakes": Input(_discriminate_fakes, networks="d"),
}
"""Name of an argument -> what it receives.

`discriminate` judges images with the labels and augmentation of the reals, `discriminate_fakes` with those of the
generated images. With `config.growth.full_size_penalties` both take full-size images, and the images and the uniform
noise are enlarged to that size.
"""


def of_network(network: str) -> list[str]:
    """Returns the names that regularizers of a network, "g" or "d", can ask for."""
    return [name for name, one in INPUTS.items() if network in one.networks]


def depth(names: Sequence[str]) -> Depth:
    """Returns how much of a round has to be computed for some inputs."""
    return max((INPUTS[name].depth for name in names), default=Depth.NOTHING)
