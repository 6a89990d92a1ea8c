"""Comparison of a run of the trainer with a stored one: gradients, whole states, averages and Adam's moments.

The keys are those of the files training_steps_*.npz (README_3): iterI/after/NET/NAME, iter0/PHASE/grad/NAME,
iter0/PHASE/buffers/NET/NAME, final_adam/NET/exp_avg_sq_norm/NAME; NET is G, D, or an average of G.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import optax
from goldens import Case
from state_maps import StateMap
from training_runs import Update

from flaxgan.train.step.state import Average, NetworkState, TrainState
from flaxgan.train.step.training_setup import TrainingSetup

VALUES = {"float32": 1e-4, "float64": 1e-6}
"""Tolerance of losses, logits and penalties."""
BUFFERS = {"float32": 2e-5, "float64": 5e-7}
GRADIENTS = {"float32": 5e-5, "float64": 1e-6}
"""Relative to the largest gradient norm of the phase."""
MOMENTS = {"float32": 1e-3, "float64": 1e-6}
WEIGHTS = {"float32": 1e-5, "float64": 2e-7}
"""Relative to 1 + |w|."""
STATISTICS_BEHIND_NOISE = {"float32": 1e-2, "float64": 5e-7}
"""Absolute, of running statistics behind a bias that a batch normalization cancels. Its gradient in float32 is rounding
noise, of which Adam makes whole steps."""
SMALL = {"float32": 1.0, "float64": 1e-3}
"""Values are compared with a magnitude of at least this."""
NOISE = 1.01
"""A step that Adam makes of noise is at most this many learning rates long."""

STATISTICS = ("running_mean", "running_var", "stored_mean", "stored_var")


class Comparison:
    """One run beside a stored one.

    Args:
      case: the stored one.
      setup: what our steps are built of.
      maps: the map of the states of "G" and "D".
      weights: tolerance of weights, relative to 1 + |w|.
    """

    def __init__(self, case: Case, setup: TrainingSetup, maps: Mapping[str, StateMap], *, weights: Any = None):
        self.case = case
        self.setup = setup
        self.maps = maps
        self._weights = WEIGHTS if weights is None else weights
        without_phase = lambda name: name[0] + name[name.index("/") :]
        self._null = {without_phase(name) for name in case.option("null_gradient_params")}
        self._seen: dict[str, dict[str, np.ndarray]] = {"G": {}, "D": {}}

    def value(self, key: str, found: Any) -> None:
        """Compares a loss, or a value of each image."""
        size = float(np.max(np.abs(self.case.arrays[key]), initial=0.0))
        self.case.compare(key, found, tolerance=VALUES, scale=max(size, SMALL[self.case.precision]))

    def losses(self, iteration: int, found: Mapping[str, Any]) -> None:
        """Compares losses of an iteration with the option "losses_float64"."""
        stored = self.case.option("losses_float64")[f"iter{iteration}"]
        self.case.check(f"losses {sorted(stored)} of iteration {iteration}", set(stored) == set(found))
        for name, value in stored.items():
            scale = max(float(np.max(np.abs(value))), SMALL[self.case.precision])
            self._check(f"iter{iteration}/{name}", found[name], value, VALUES[self.case.precision] * scale)

    def update(self, update: Update, iteration: int, name: str, *, g_after: Update | None = None) -> None:
        """Compares the first iteration's gradients and buffers after an update.

        Args:
          update: the update.
          iteration: its iteration.
          name: what the reference calls it.
          g_after: the update after which G's buffers are compared instead.
        """
        self._note_what_was_seen(update)
        if iteration == 0:
            self._gradients(f"iter0/{name}/grad/", name, self._theirs(update.network.upper(), update.gradients))
            self.buffers(f"iter0/{name}/buffers/", update, g_after=g_after)

    def buffers(self, prefix: str, update: Update, *, g_after: Update | None = None) -> None:
        """Compares all buffers prefix/NET/NAME after an update."""
        self._note_what_was_seen(update)
        states = {"G": (g_after or update).after.g, "D": update.after.d}
        found = {network: self.state_dict(network, state) for network, state in states.items()}
        for key in self.case.keys(f"{prefix}*"):
            network, name = key.removeprefix(prefix).split("/", 1)
            stored = self.case.arrays[key]
            scale = max(float(np.max(np.abs(stored))), 1e-3)
            self.case.compare(key, np.reshape(found[network][name], stored.shape), tolerance=BUFFERS, scale=scale)

    def after(self, iteration: int, state: TrainState, *, averages: Mapping[str, Average] | None = None) -> None:
        """Compares the networks and the averages after an iteration."""
        parts = {"G": state.g, "D": state.d, **(averages or {})}
        found = {name: self.state_dict(name[0], part) for name, part in parts.items()}
        prefix = f"iter{iteration}/after/"
        for key in self.case.keys(f"{prefix}*"):
            network, name = key.removeprefix(prefix).split("/", 1)
            self.entry(key, found[network][name], name=f"{network[0]}/{name}", steps=iteration + 1)

    def entry(self, key: str, found: np.ndarray, *, name: str, steps: int) -> None:
        """Compares a weight or a buffer of a state.

        Args:
          key: the golden's key.
          found: ours.
          name: NET/NAME.
          steps: iterations so far.
        """
        stored = np.abs(self.case.arrays[key].astype(np.float64))
        tolerance = self._weights[self.case.precision] * (1 + stored)
        if name.rpartition(".")[2] in STATISTICS and self._null:
            tolerance = tolerance + STATISTICS_BEHIND_NOISE[self.case.precision]
        elif name in self._null and self.case.precision == "float32":
            tolerance = tolerance + NOISE * steps * self._largest_move(name[0])
        self.case.compare(key, np.reshape(found, stored.shape), tolerance=tolerance, scale=1.0)

    def adam(self, state: TrainState) -> None:
        """Compares the norms of Adam's second moments after the last iteration."""
        for network in "GD":
            opt_state = state.network(network.lower()).opt_state.inner
            moments = self._theirs(network, optax.tree_utils.tree_get(opt_state, "nu"))
            prefix = f"final_adam/{network}/exp_avg_sq_norm/"
            keys = self.case.keys(f"{prefix}*")
            self._check_names(prefix, {key.removeprefix(prefix) for key in keys}, moments)
            least = 1e-6 * max(float(self.case.arrays[key]) for key in keys)
            for key in keys:
                norm = np.linalg.norm(moments[key.removeprefix(prefix)])
                scale = max(float(self.case.arrays[key]), least)
                self.case.compare(key, norm, tolerance=MOMENTS, scale=scale)

    def state_dict(self, network: str, state: NetworkState | Average) -> dict[str, np.ndarray]:
        """A network's state under the reference's names. Its stored sigmas are those of the last call."""
        found = self.maps[network].theirs({"params": state.params, **state.variables})
        seen = {**found, **self._seen[network]}
        return {**found, **self.maps[network].sigmas(seen)}

    def _note_what_was_seen(self, update: Update) -> None:
        """Both networks were called with the weights before the update."""
        for network in "GD":
            self._seen[network] = self._theirs(network, update.before.network(network.lower()).params)

    def _gradients(self, prefix: str, phase: str, found: Mapping[str, np.ndarray]) -> None:
        """Compares stored gradients, and sums and norms of all, with the largest norm of the phase."""
        sums_norms = self.case.option("iter0_grad_sum_norm")
        stored = {
            name.removeprefix(f"{phase}/"): pair for name, pair in sums_norms.items() if name.startswith(f"{phase}/")
        }
        self._check_names(f"gradients of {phase}", stored, found)
        largest = max(norm for _, norm in stored.values())
        for key in self.case.keys(f"{prefix}*"):
            self.case.compare(key, found[key.removeprefix(prefix)], tolerance=GRADIENTS, scale=largest)
        tolerance = GRADIENTS[self.case.precision] * largest
        for name, (total, norm) in stored.items():
            self._check(f"sum of {prefix}{name}", np.sum(found[name]), total, tolerance * np.sqrt(found[name].size))
            self._check(f"norm of {prefix}{name}", np.linalg.norm(found[name]), norm, tolerance)

    def _theirs(self, network: str, params: Any) -> dict[str, np.ndarray]:
        return self.maps[network].theirs({"params": params})

    def _largest_move(self, network: str) -> float:
        """Of a weight, in an iteration."""
        config = self.setup.config
        return config.g_optimizer.learning_rate if network == "G" else config.d_steps * config.d_optimizer.learning_rate

    def _check(self, what: str, found: Any, stored: Any, tolerance: float) -> None:
        error = float(np.max(np.abs(np.asarray(found, float) - np.asarray(stored, float))))
        self.case.check(f"{what} (off by {error / tolerance:.3g} tolerances)", error <= tolerance)

    def _check_names(self, what: str, stored: Iterable[str], found: Iterable[str]) -> None:
        differing = sorted(set(stored) ^ set(found))
        self.case.check(f"{what}: names differ in {', '.join(differing) or 'none'}", not differing)
