"""The tape of the NumPy references differentiates as central differences do."""

import numpy as np
import pytest
import tape

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(4,)) + 3
M = RNG.normal(size=(4, 5))

PROGRAMS = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: 1 - (x - y),
    "multiply": lambda x, y: 2 * x * y,
    "divide": lambda x, y: x / y,
    "power": lambda x, y: y**-0.5 + x**2,
    "matmul": lambda x, y: x @ tape.array(M) + y[:1],
    "matmul of both": lambda x, y: x @ x.swapaxes(1, 2) + y[0],
    "rows of a table": lambda x, y: x[np.array([1, 0, 1])] * y,
    "part": lambda x, y: x[:, ::2] * y,
    "place": lambda x, y: tape.place(x, np.s_[:, 1:7:2], (2, 7, 4)) * y,
    "concatenate": lambda x, y: tape.concatenate([x * y, x]),
    "mean": lambda x, y: x.mean((0, 1)) * y + x.sum((1, 2), keepdims=True),
    "max": lambda x, y: x.max(1) * y,
    "leaky": lambda x, y: tape.leaky_relu(x, 0.2) * y,
    "tanh": lambda x, y: tape.tanh(x) + tape.exp(x) * tape.softplus(y),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(name):
    """Of the sum of squares, by both arguments, along random directions."""
    loss = lambda x, y: (PROGRAMS[name](tape.array(x), tape.array(y)) ** 2).sum().value
    arguments = {"x": tape.array(X), "y": tape.array(Y)}
    found = tape.gradients((PROGRAMS[name](**arguments) ** 2).sum(), arguments)
    for _ in range(3):
        dx, dy = RNG.normal(size=X.shape), RNG.normal(size=Y.shape)
        difference = (loss(X + 1e-6 * dx, Y + 1e-6 * dy) - loss(X - 1e-6 * dx, Y - 1e-6 * dy)) / 2e-6
        np.testing.assert_allclose(np.sum(found["x"] * dx) + np.sum(found["y"] * dy), difference, rtol=1e-6, atol=1e-6)
