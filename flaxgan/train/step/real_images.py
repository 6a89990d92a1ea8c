"""Real images on their way from a batch of uint8 to what the networks of a stage see."""

import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp

from flaxgan.ops.image import dequantize, flip_where, to_float
from flaxgan.ops.resampling import box_downsample, fade_reals
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.training_setup import TrainingSetup

Batch = dict[str, jax.Array]
"""images uint8 [N, H, W, C], labels int32 [N] or float32 [N, K], and flip bool [N]: images to flip left to right."""

View = Callable[[Reals, jax.Array], Reals]
"""(real images of full size, images seen) -> the real images as the networks of a stage see them."""

DEQUANTIZATION = zlib.crc32(b"dequantization")
"""Is folded into a phase's key for the key of the dequantization, so that no other draw depends on it."""


def view(setup: TrainingSetup, num_images: int) -> View:
    """Builds the function that brings real images to the size of the stage and blends them like generated ones.

    Images are repeated where more are needed than given.
    """
    stage, full_height = setup.stage, setup.gan.image_shape[0]
    factor = full_height // stage.image_shape[0]

    def of_stage(reals: Reals, images_seen: jax.Array) -> Reals:
        images, labels = reals
        if len(images) != num_images:
            images, labels = (jnp.take(x, jnp.arange(num_images) % len(images), axis=0) for x in (images, labels))
        if factor > 1:
            images = box_downsample(images, factor)
        if stage.fade_images:
            images = fade_reals(images, stage.alpha(images_seen))
        return Reals(images, labels)

    return of_stage


def from_batch(setup: TrainingSetup) -> Callable[[Batch, jax.Array], Reals]:
    """Builds the function (batch, key of the phase) -> its real images as floats of full size.

    Without data.mirror no image is flipped, and the flips cost nothing; without data.dequantize the key is not used.
    """
    data = setup.config.data

    def reals(batch: Batch, key: jax.Array) -> Reals:
        pixels = flip_where(batch["images"], batch["flip"]) if data.mirror else batch["images"]
        if not data.dequantize:
            return Reals(to_float(pixels), batch["labels"])
        uniform = jax.random.uniform(jax.random.fold_in(key, DEQUANTIZATION), pixels.shape)
        return Reals(dequantize(pixels, uniform), batch["labels"])

    return reals
