"""Finds the origin of non-finite values: repeats one phase and inspects everything that it computes."""

import dataclasses
import pathlib
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import traverse_util
from flax.serialization import to_state_dict

import flaxgan
from flaxgan.train.step import phases
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.optimizers import Optimizers
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import TrainState
from flaxgan.train.step.training_setup import TrainingSetup

PACKAGE = pathlib.Path(flaxgan.__file__).parent


class Count(NamedTuple):
    """Counts of an array.

    Attributes:
      bad: number of non-finite values.
      size: number of all values.
    """

    bad: int
    size: int


class Watched(NamedTuple):
    """Results of a watched phase.

    Attributes:
      scalars: the scalars of the phase, on the host.
      outputs: counts of each layer call with a non-finite output, in the order of computation.
      gradients: counts of each parameter with a non-finite gradient.
    """

    scalars: dict[str, np.ndarray]
    outputs: dict[str, Count]
    gradients: dict[str, Count]


def not_finite(tree: Any) -> dict[str, Count]:
    """Returns the counts of the arrays of a tree that hold non-finite values, by their path."""
    flat = traverse_util.flatten_dict({"": to_state_dict(tree)}, sep="/")
    arrays = {name.removeprefix("/"): np.asarray(x) for name, x in flat.items()}
    floating = {name: x for name, x in arrays.items() if jnp.issubdtype(x.dtype, jnp.inexact)}
    counts = {name: Count(int(np.sum(~np.isfinite(x))), x.size) for name, x in floating.items()}
    return {name: count for name, count in counts.items() if count.bad}


def watch(setup: TrainingSetup, name: str, state: TrainState, reals: Reals, inputs: PhaseInputs) -> Watched:
    """Runs a phase and counts non-finite values in the outputs of all layers and in all gradients.

    Args:
      setup: the setup of the stage.
      name: the name of the phase.
      state: the state before the phase.
      reals: the real images.
      inputs: the phase's random inputs.
    """
    outputs, gradients = _Counter(), _Counter()
    optimizers = Optimizers(*(_watched_optimizer(one, gradients) for one in setup.optimizers))
    update = phases.by_name(dataclasses.replace(setup, optimizers=optimizers), name).update

    def watched(*arguments: Any) -> phases.Scalars:
        with nn.intercept_methods(_watch_calls(outputs)):
            return update(*arguments)[1]

    scalars = jax.device_get(jax.jit(watched)(state, reals, inputs))
    jax.effects_barrier()
    return Watched(scalars, outputs.found(), gradients.found())


def first_operation(setup: TrainingSetup, name: str, state: TrainState, reals: Reals, inputs: PhaseInputs) -> str:
    """Finds the first operation with a non-finite result.

    Runs the phase one operation at a time, which is slow.

    Args:
      setup: the setup of the stage.
      name: the name of the phase.
      state: the state before the phase.
      reals: the real images.
      inputs: the phase's random inputs.

    Returns:
      A description of the operation and its line in this package, or "" if all results are finite.
    """
    update = phases.by_name(setup, name).update
    try:
        with jax.debug_nans(True), jax.debug_infs(True), jax.disable_jit():
            jax.block_until_ready(update(state, reals, inputs))
    except FloatingPointError as error:
        place = _place(error)
        message = str(error).splitlines()[0]
        return f"{message}, {place}" if place else message
    return ""


class _Counter:
    """Counts non-finite values from inside a compiled program."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._counts: dict[int, Count] = {}

    def watch(self, name: str, x: jax.Array) -> None:
        """Counts an array of the program. Must be called during tracing."""
        index = len(self._names)
        self._names.append(name)
        jax.debug.callback(lambda bad: self._add(index, Count(int(bad), x.size)), jnp.sum(~jnp.isfinite(x)))

    def _add(self, index: int, count: Count) -> None:
        before = self._counts.get(index, Count(0, count.size))
        self._counts[index] = Count(max(before.bad, count.bad), count.size)

    def found(self) -> dict[str, Count]:
        """Returns the counts of arrays with non-finite values by name, in the order of the calls of `watch`.

        Of several arrays with one name the first counts.
        """
        found: dict[str, Count] = {}
        for index, count in sorted(self._counts.items()):
            if count.bad:
                found.setdefault(self._names[index], count)
        return found


def _watch_calls(counter: _Counter) -> Callable:
    def intercept(call: Callable, arguments: Any, keywords: Any, context: nn.module.InterceptorContext) -> Any:
        output = call(*arguments, **keywords)
        if context.method_name not in ("setup", "__post_init__"):
            path = "/".join((type(_root(context.module)).__name__, *context.module.path))
            method = "" if context.method_name == "__call__" else f".{context.method_name}"
            for x in jax.tree.leaves(output):
                if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.inexact):
                    counter.watch(f"{path}{method}", x)
        return output

    return intercept


def _root(module: nn.Module) -> nn.Module:
    while isinstance(module.parent, nn.Module):
        module = module.parent
    return module


def _watched_optimizer(optimizer: optax.GradientTransformation, counter: _Counter) -> optax.GradientTransformation:
    def update(gradients: Any, state: Any, params: Any = None) -> Any:
        for name, gradient in traverse_util.flatten_dict(gradients, sep="/").items():
            counter.watch(name, gradient)
        return optimizer.update(gradients, state, params)

    return optax.GradientTransformation(optimizer.init, update)


def _place(error: BaseException) -> str:
    """Returns the innermost line of this package in the traceback of an error or of its cause."""
    own = pathlib.Path(__file__)
    for cause in (error.__cause__, error):
        frames = traceback.extract_tb(cause.__traceback__) if cause is not None else []
        for frame in reversed(frames):
            path = pathlib.Path(frame.filename)
            if path.is_relative_to(PACKAGE) and path != own:
                return f"{path.relative_to(PACKAGE.parent)}:{frame.lineno}, in {frame.name}: {frame.line}"
    return ""
