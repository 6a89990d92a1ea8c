"""The trainer's steps beside steps from formulas, in float64: the same variables, inputs and order."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from formulas import Expected, Flat, Networks
from training_runs import Run, Update, in_rounds

from flaxgan.config import Config
from flaxgan.train.step import binding
from flaxgan.train.step.forward import Latents
from flaxgan.train.step.loss_context import Reals
from flaxgan.train.step.random_inputs import PhaseInputs
from flaxgan.train.step.state import NetworkState, TrainState

CLOSE = {"rtol": 1e-8, "atol": 1e-11}
"""Both sides compute in float64."""


class Draws:
    """Stored inputs of some iterations: reals, and latents for each update of a step.

    Args:
      iterations: their number.
      updates: updates of a step.
      batch: images of an update.
      z_dim: width of the latents.
      image_shape: (H, W, C).
      num_classes: number of classes, or 0.
    """

    def __init__(self, iterations: int, updates: int, batch: int, z_dim: int, image_shape: Any, num_classes: int = 0):
        rng = np.random.default_rng(1)
        self.z = rng.normal(size=(iterations, updates, batch, z_dim))
        self.reals = rng.uniform(-1, 1, size=(iterations, batch, *image_shape))
        classes = max(num_classes, 1)
        self.labels = rng.integers(classes, size=(iterations, batch), dtype=np.int32)
        self.fake_labels = rng.integers(classes, size=(iterations, updates, batch), dtype=np.int32)

    def inputs(self, iteration: int, draw: int) -> tuple[Reals, PhaseInputs]:
        """The inputs of an update that takes a draw."""
        key = jax.random.split(jax.random.key(0), 1)
        z, labels = self.z[iteration, draw], self.fake_labels[iteration, draw]
        reals = Reals(jnp.asarray(self.reals[iteration]), jnp.asarray(self.labels[iteration]))
        return reals, PhaseInputs(Latents(in_rounds(z, 1), in_rounds(labels, 1), key))


class Pair:
    """A run of the trainer and the same variables for formulas.

    Args:
      config: the recipe.
      image_shape: (H, W, C).
    """

    def __init__(self, config: Config, image_shape: tuple[int, int, int]):
        self.setup = binding.build(binding.complete(config), image_shape)
        self.run = Run(self.setup)
        gan = self.setup.gan
        labels = np.zeros(1, np.int32) if gan.num_classes else None
        inputs = {"g": np.zeros((1, gan.z_dim)), "d": np.zeros((1, *image_shape))}
        modules = {"g": gan.generator, "d": gan.discriminator}
        rng = np.random.default_rng(0)
        self._whole = {name: _random(rng, modules[name], inputs[name], labels) for name in "gd"}

    def networks(self, optimizers: Mapping[str, Any]) -> Networks:
        """The variables for formulas."""
        return Networks(
            params={name: _below(whole, "params") for name, whole in self._whole.items()},
            variables={name: _but(whole, "params") for name, whole in self._whole.items()},
            optimizers=dict(optimizers),
        )

    def initial(self) -> TrainState:
        """The trainer's state."""
        return self.run.initial(*(unflatten_dict(self._whole[name], sep="/") for name in "gd"))

    def compare(
        self,
        draws: Draws,
        draw_of: Mapping[str, int],
        networks: Networks,
        iterate: Callable[[int], Mapping[str, Expected]],
        average: Callable[[], Flat] | None = None,
    ) -> None:
        """Runs both and compares every update, and the whole state after every iteration.

        Args:
          draws: the inputs.
          draw_of: phase's name -> number of its draw.
          networks: what the formulas train.
          iterate: iteration -> what each phase should show; trains `networks`.
          average: returns the formulas' average of the generator's parameters.
        """
        state = self.initial()
        for iteration in range(len(draws.z)):
            updates: list[Update] = []
            feed = lambda phase, repeat, i=iteration: draws.inputs(i, draw_of[phase.name])
            state = self.run.step(state, feed, updates.append)
            expected = iterate(iteration)
            assert [update.phase for update in updates] == list(expected)
            for update in updates:
                _compare_update(update, expected[update.phase])
            for name in "gd":
                _assert_close(
                    _flat(state.network(name)), {**_prefixed(networks.params[name]), **networks.variables[name]}
                )
            if average is not None:
                _assert_close(flatten_dict(state.ema.params, sep="/"), average())


def _compare_update(update: Update, expected: Expected) -> None:
    np.testing.assert_allclose(update.scalars["loss"][0], expected.loss, **CLOSE)
    _assert_close(flatten_dict(update.gradients, sep="/"), expected.gradients)
    np.testing.assert_allclose(update.kept("fake_logits")[0], expected.fake_logits, **CLOSE)
    if expected.real_logits is not None:
        np.testing.assert_allclose(update.kept("real_logits")[0], expected.real_logits, **CLOSE)


def _random(rng: np.random.Generator, module: Any, inputs: np.ndarray, labels: np.ndarray | None) -> Flat:
    """Variables of a network's shapes: unit vectors, positive variances, scales about 1, everything else about 0."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), inputs, labels)
    found = {}
    for path, leaf in flatten_dict(shapes, sep="/").items():
        value = rng.normal(size=leaf.shape)
        name = path.rpartition("/")[2]
        if name in ("u", "v"):
            value /= np.linalg.norm(value)
        elif name in ("var", "scale"):
            value = 1 + 0.2 * np.abs(value)
        else:
            value *= 0.4
        found[path] = value
    return found


def _flat(network: NetworkState) -> Flat:
    return flatten_dict({"params": network.params, **network.variables}, sep="/")


def _below(whole: Flat, collection: str) -> Flat:
    prefix = f"{collection}/"
    return {path.removeprefix(prefix): value for path, value in whole.items() if path.startswith(prefix)}


def _but(whole: Flat, collection: str) -> Flat:
    return {path: value for path, value in whole.items() if not path.startswith(f"{collection}/")}


def _prefixed(params: Flat) -> Flat:
    return {f"params/{path}": value for path, value in params.items()}


def _assert_close(found: Mapping[str, Any], expected: Mapping[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_allclose(found[path], value, **CLOSE, err_msg=path)
