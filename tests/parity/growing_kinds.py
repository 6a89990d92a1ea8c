"""What the goldens of the official PGGAN and StyleGAN codes hold for each level of detail, computed by ours.

A level of detail l says how far the image is from its full size: the stage is floor(l) halvings below it, and 1 minus
the fraction of l is the weight of the stage's newest block.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from goldens import Case, nchw, nhwc, run_as_program

from flaxgan.ops.resampling import box_downsample, nearest_upsample
from flaxgan.types import DiscriminatorOutput

INPUTS = ("sd/*", "z", "w", "labels", "x", "cot_img", "cot_score")


class Level(NamedTuple):
    """One level of detail: its keys' prefix, how much smaller its images are, and our stage and alpha."""

    prefix: str
    factor: int
    stage: int
    alpha: float


def levels(case: Case, resolution: int) -> list[Level]:
    """The levels of the case's "lods"."""
    found = []
    for lod in case.option("cfg")["lods"]:
        halvings = math.floor(lod)
        stage = int(math.log2(resolution)) - 2 - halvings
        found.append(Level(f"lod{lod:g}", 2**halvings, stage, 1 - (lod - halvings)))
    return found


def compare_levels(
    case: Case,
    all_levels: list[Level],
    generate: Callable[..., jax.Array],
    latents: tuple[str, Any],
    discriminate: Callable[..., DiscriminatorOutput],
) -> None:
    """Compares images, scores and gradients of all levels, computed by one program.

    Args:
      case: the case.
      all_levels: its levels.
      generate: (latents, stage=, alpha=) -> images.
      latents: name and value of what the images are made from.
      discriminate: (images, stage=, alpha=) -> output.
    """
    name, value = latents
    inputs = [nhwc(case.input(key)) for key in ("x", "cot_img")] + [case.input("cot_score")]
    alphas = {level: jnp.asarray(level.alpha, case.dtype) for level in all_levels}

    def results(value, x, cot_img, cot_score, alphas):
        found = {}
        for level in all_levels:
            growth = {"stage": level.stage, "alpha": alphas[level] if level.alpha < 1 else 1.0}

            def images(value, growth=growth, factor=level.factor):
                small = generate(value, **growth)
                return jnp.sum(nearest_upsample(small, factor) * cot_img), small

            def scores(x, growth=growth, factor=level.factor):
                output = discriminate(box_downsample(x, factor), **growth)
                return jnp.sum(output.logits * cot_score[:, 0]), output

            grad, small = jax.grad(images, has_aux=True)(value)
            grad_x, output = jax.grad(scores, has_aux=True)(x)
            found[level] = {f"grad_{name}": grad, "img": small, "grad_x": grad_x, "output": output}
        return found

    found = run_as_program(results, value, *inputs, alphas)
    for level, result in found.items():
        _compare_level(case, level, result)


def _compare_level(case: Case, level: Level, result: dict[str, Any]) -> None:
    output = result.pop("output")
    for key in case.keys(f"{level.prefix}/*"):
        what, golden = key.rpartition("/")[2], case.arrays[key]
        if what in ("img", "grad_x"):
            case.compare(key, nchw(result[what]))
        elif what in result:
            case.compare(key, result[what])
        elif what == "score" and golden.shape[1] == 1:
            case.compare(key, output.logits[:, None])
        elif output.class_logits is not None:  # Beside the score, or behind it.
            both = jnp.concatenate([output.logits[:, None], output.class_logits], axis=1)
            case.compare(key, both[:, -golden.shape[1] :])
