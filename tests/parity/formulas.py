"""Layers, optimizers and averages from the formulas of the references' sources, in NumPy float64.

Nothing here comes from the package but the names and layouts of variables: kernels [K, K, I, O], paths with slashes.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tape
from tape import Array

Flat = dict[str, np.ndarray]
"""Path -> array."""


class Call:
    """One call of a network in training: its parameters on the tape, and what the call makes of its other variables.

    Args:
      params: the parameters.
      variables: vectors of spectral normalization, spectral/PATH/u and v, and running statistics,
        batch_stats/PATH/mean and var.
      from_input: whether power iterations start from the vector on the input's side, v.
      iterates: whether spectral normalization moves u and v before it uses them.
    """

    def __init__(self, params: Mapping[str, np.ndarray], variables: Mapping[str, np.ndarray], *, from_input=False):
        self.params = {path: tape.array(value) for path, value in params.items()}
        self.variables = dict(variables)
        self._from_input = from_input
        self._normalized: dict[str, Array] = {}

    def kernel(self, path: str, name: str = "kernel") -> Array:
        """A kernel, divided by its spectral norm where the network has vectors for it. One call iterates once."""
        kernel = self.params[f"{path}/{name}"]
        if f"spectral/{path}/u" not in self.variables:
            return kernel
        if path not in self._normalized:
            self._normalized[path] = kernel / self._sigma(kernel, path, rows_last=name == "kernel")
        return self._normalized[path]

    def _sigma(self, kernel: Array, path: str, *, rows_last: bool) -> Array:
        """u^T M v after one power iteration, M with a row for each output; u and v are constants."""
        matrix = kernel.value.reshape(-1, kernel.shape[-1]).T if rows_last else kernel.value
        u, v = self.variables[f"spectral/{path}/u"], self.variables[f"spectral/{path}/v"]
        if self._from_input:
            u = _unit(matrix @ v)
            v = _unit(matrix.T @ u)
        else:
            v = _unit(matrix.T @ u)
            u = _unit(matrix @ v)
        self.variables |= {f"spectral/{path}/u": u, f"spectral/{path}/v": v}
        outer = np.outer(v, u).reshape(kernel.shape) if rows_last else np.outer(u, v)
        return (kernel * outer).sum()

    def dense(self, x: Array, path: str) -> Array:
        """x W + b."""
        return self._biased(x @ self.kernel(path), path)

    def conv(self, x: Array, path: str, stride: int = 1) -> Array:
        """A convolution with the "SAME" padding of TensorFlow."""
        kernel = self.kernel(path)
        size, pixels = kernel.shape[0], x.shape[1]
        out = -(-pixels // stride)
        before = max((out - 1) * stride + size - pixels, 0) // 2
        wide = x.shape[0], (out - 1) * stride + size + pixels, (out - 1) * stride + size + pixels, x.shape[3]
        inside = np.s_[:, before : before + pixels, before : before + pixels]
        padded = tape.place(x, inside, wide)
        last = (out - 1) * stride + 1
        taps = [(i, j) for i in range(size) for j in range(size)]
        windows = [padded[:, i : i + last : stride, j : j + last : stride] @ kernel[i, j] for i, j in taps]
        return self._biased(sum(windows[1:], start=windows[0]), path)

    def transposed_conv(self, x: Array, path: str) -> Array:
        """A transposed convolution of stride 2, "SAME": the transpose of a convolution of that padding."""
        kernel = self.kernel(path)
        size, pixels = kernel.shape[0], x.shape[1]
        full = 2 * (pixels - 1) + size
        shape = x.shape[0], full, full, kernel.shape[3]
        last = 2 * pixels - 1
        taps = [(i, j) for i in range(size) for j in range(size)]
        parts = [tape.place(x @ kernel[i, j], np.s_[:, i : i + last : 2, j : j + last : 2], shape) for i, j in taps]
        before = (size - 2) // 2
        inside = np.s_[:, before : before + 2 * pixels, before : before + 2 * pixels]
        return self._biased(sum(parts[1:], start=parts[0])[inside], path)

    def standardized(self, x: Array, path: str, *, momentum: float, eps: float, unbiased: bool) -> Array:
        """(x - mean) / sqrt(var + eps) with the batch's moments, which move the running statistics."""
        axes = tuple(range(len(x.shape) - 1))
        mean = x.mean(axes)
        variance = ((x - mean) ** 2).mean(axes)
        count = x.value.size // x.shape[-1]
        factor = count / (count - 1) if unbiased else 1.0
        for name, new in (("mean", mean.value), ("var", variance.value * factor)):
            key = f"batch_stats/{path}/{name}"
            self.variables[key] = self.variables[key] + momentum * (new - self.variables[key])
        return (x - mean) * (variance + eps) ** -0.5

    def batch_norm(self, x: Array, path: str, **settings) -> Array:
        """Batch normalization with trained scale and bias."""
        standardized = self.standardized(x, path, **settings)
        return standardized * self.params[f"{path}/scale"] + self.params[f"{path}/bias"]

    def _biased(self, y: Array, path: str) -> Array:
        bias = self.params.get(f"{path}/bias")
        return y if bias is None else y + bias


@dataclasses.dataclass
class Adam:
    """Adam as TensorFlow 1 writes it: eps beside the root of the second moment that is not corrected."""

    rate: float
    b1: float
    b2: float
    eps: float = 1e-8
    count: int = 0
    moments: dict[str, tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)

    def step(self, params: Flat, gradients: Flat) -> Flat:
        """The parameters after a step."""
        self.count += 1
        rate = self.rate * np.sqrt(1 - self.b2**self.count) / (1 - self.b1**self.count)
        moved = {}
        for path, gradient in gradients.items():
            first, second = self.moments.get(path, (0.0, 0.0))
            first = self.b1 * first + (1 - self.b1) * gradient
            second = self.b2 * second + (1 - self.b2) * gradient**2
            self.moments[path] = first, second
            moved[path] = params[path] - rate * first / (np.sqrt(second) + self.eps)
        return moved


@dataclasses.dataclass
class RmsProp:
    """RMSprop as Keras writes it: from zero, eps beside the root."""

    rate: float
    decay: float
    eps: float = 1e-7
    moments: Flat = dataclasses.field(default_factory=dict)

    def step(self, params: Flat, gradients: Flat) -> Flat:
        """The parameters after a step."""
        moved = {}
        for path, gradient in gradients.items():
            self.moments[path] = self.decay * self.moments.get(path, 0.0) + (1 - self.decay) * gradient**2
            moved[path] = params[path] - self.rate * gradient / (np.sqrt(self.moments[path]) + self.eps)
        return moved


@dataclasses.dataclass
class Networks:
    """Both networks while the formulas train them.

    Attributes:
      params: "g" or "d" -> parameters.
      variables: "g" or "d" -> the other variables.
      optimizers: "g" or "d" -> its optimizer.
    """

    params: dict[str, Flat]
    variables: dict[str, Flat]
    optimizers: dict[str, Adam | RmsProp]

    def move(self, network: str, loss: Array, call: Call) -> Flat:
        """Takes a step of a network on a loss of one of its calls; returns the gradients."""
        gradients = tape.gradients(loss, call.params)
        self.params[network] = self.optimizers[network].step(self.params[network], gradients)
        return gradients


def minimum_hinge(logits: Array) -> Array:
    """max(0, 1 + logits)."""
    return tape.leaky_relu(logits + 1.0)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt(np.maximum(np.sum(x**2), 1e-12))


Iteration = Callable[[int], dict[str, "Expected"]]


@dataclasses.dataclass(frozen=True)
class Expected:
    """What an update of a network should show.

    Attributes:
      loss: the mean loss.
      gradients: by all parameters of the network.
      fake_logits: D's logits of the generated images.
      real_logits: those of the real images, where the update judges them.
    """

    loss: float
    gradients: Flat
    fake_logits: np.ndarray
    real_logits: np.ndarray | None = None
