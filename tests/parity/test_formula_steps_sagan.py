"""SAGAN's steps as in its official code, from their formulas in NumPy, against the trainer's.

G moves first, then D on other fakes. D's vectors of spectral normalization move only where it judges reals: fakes are
judged with those of the same iteration of the same vectors, in G's update and in D's own. The code also differentiates
through that iteration; here, as in the paper of spectral normalization, its vectors are constants.
"""

import jax
import numpy as np
import tape
from formula_runs import Draws, Pair
from formulas import Adam, Call, Expected, Networks
from tape import Array

from flaxgan.config import Config, DataConfig, EmaConfig, OptimizerConfig

SHAPE = (8, 8, 1)
Z, BATCH, ITERATIONS, CLASSES, WIDTH = 3, 3, 3, 3, 8
RATES = {"g": 0.001, "d": 0.004}
NORM = {"momentum": 0.1, "eps": 1e-5, "unbiased": False}


def _config() -> Config:
    adams = {name: OptimizerConfig(learning_rate=rate, b1=0.0, b2=0.9, eps_hat=True) for name, rate in RATES.items()}
    widths = {"g_channels": WIDTH, "g_multipliers": (1, 1), "d_channels": WIDTH, "d_multipliers": (1, 1)}
    attention = {"g_attention_px": (8,), "d_attention_px": (4,)}
    return Config(
        network={"name": "sagan", "z_dim": Z, **widths, **attention, "norm_unbiased": False},
        data=DataConfig(num_classes=CLASSES),
        batch_size=BATCH,
        loss="hinge",
        update_order="g_d",
        d_passes="concatenated",
        d_statistics_in_g=False,
        g_optimizer=adams["g"],
        d_optimizer=adams["d"],
        ema=EmaConfig(half_life_kimg=0.0),
    )


def _enlarged(x: Array) -> Array:
    """Every pixel twice in both directions."""
    size = x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]
    corners = [tape.place(x, np.s_[:, i::2, j::2], size) for i in (0, 1) for j in (0, 1)]
    return sum(corners[1:], start=corners[0])


def _halved(x: Array) -> Array:
    """Means of 2x2 pixels."""
    return sum((x[:, i::2, j::2] for i, j in ((0, 1), (1, 0), (1, 1))), start=x[:, ::2, ::2]) * 0.25


def _class_norm(call: Call, x: Array, labels: np.ndarray, path: str) -> Array:
    gain_offset = call.params[f"{path}/embed/embedding"][labels].reshape(len(labels), 1, 1, -1)
    channels = x.shape[-1]
    return call.standardized(x, path, **NORM) * gain_offset[..., :channels] + gain_offset[..., channels:]


def _attended(call: Call, x: Array, path: str) -> Array:
    batch, height, width, channels = x.shape
    pooled = lambda y: y.reshape(batch, height // 2, 2, width // 2, 2, -1).max((2, 4)).reshape(batch, -1, y.shape[3])
    theta, phi, g = (call.conv(x, f"{path}/{name}") for name in ("theta", "phi", "g"))
    scores = theta.reshape(batch, height * width, -1) @ pooled(phi).swapaxes(1, 2)
    shares = tape.exp(scores)
    shares = shares / shares.sum((2,), keepdims=True)
    mixture = (shares @ pooled(g)).reshape(batch, height, width, -1)
    return x + call.params[f"{path}/gamma"] * call.conv(mixture, f"{path}/o")


def _generate(call: Call, z: np.ndarray, labels: np.ndarray) -> Array:
    x = call.dense(tape.array(z), "body/base").reshape(len(z), SHAPE[0] // 2, SHAPE[1] // 2, WIDTH)
    block = "body/block1"
    y = _enlarged(tape.leaky_relu(_class_norm(call, x, labels, f"{block}/norm1/norm")))
    y = tape.leaky_relu(_class_norm(call, call.conv(y, f"{block}/conv1"), labels, f"{block}/norm2/norm"))
    x = call.conv(_enlarged(x), f"{block}/shortcut") + call.conv(y, f"{block}/conv2")
    x = _attended(call, x, "body/attention1")
    x = tape.leaky_relu(call.batch_norm(x, "body/norm/norm", **NORM))
    return tape.tanh(call.conv(x, "body/output"))


def _judge(call: Call, images: Array, labels: np.ndarray) -> Array:
    y = call.conv(tape.leaky_relu(call.conv(images, "block1/conv1")), "block1/conv2")
    x = _attended(call, _halved(y) + call.conv(_halved(images), "block1/shortcut"), "attention1")
    y = tape.leaky_relu(call.conv(tape.leaky_relu(x), "block2/conv1"))
    features = tape.leaky_relu(x + call.conv(y, "block2/conv2")).sum((1, 2))
    of_classes = call.kernel("head/embed", "embedding")[labels]
    return call.dense(features, "head/linear").reshape(-1) + (of_classes * features).sum((1,))


class Reference:
    """The iterations of the official code.

    Args:
      draws: the inputs.
      networks: what is trained.
    """

    def __init__(self, draws: Draws, networks: Networks):
        self.draws = draws
        self.networks = networks

    def __call__(self, iteration: int) -> list[Expected]:
        return [self._move_g(iteration), self._move_d(iteration)]

    def _move_g(self, iteration: int) -> Expected:
        of_g, fakes, labels = self._fakes(iteration, 0)
        fake = _judge(Call(self.networks.params["d"], self.networks.variables["d"]), fakes, labels)
        loss = -fake.mean()
        return Expected("g", loss.value, self.networks.move("g", loss, of_g), fake.value)

    def _move_d(self, iteration: int) -> Expected:
        _, fakes, labels = self._fakes(iteration, 1)
        call = Call(self.networks.params["d"], self.networks.variables["d"])
        real = _judge(call, tape.array(self.draws.reals[iteration, 1]), self.draws.labels[iteration, 1])
        fake = _judge(call, tape.array(fakes.value), labels)
        self.networks.variables["d"] = call.variables
        loss = tape.leaky_relu(1 - real).mean() + tape.leaky_relu(1 + fake).mean()
        return Expected("d", loss.value, self.networks.move("d", loss, call), fake.value, real.value)

    def _fakes(self, iteration: int, draw: int) -> tuple[Call, Array, np.ndarray]:
        call = Call(self.networks.params["g"], self.networks.variables["g"])
        labels = self.draws.fake_labels[iteration, draw]
        fakes = _generate(call, self.draws.z[iteration, draw], labels)
        self.networks.variables["g"] = call.variables
        return call, fakes, labels


def test_steps():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        pair, draws = Pair(_config(), SHAPE), Draws(ITERATIONS, 2, BATCH, Z, SHAPE, CLASSES)
        networks = pair.networks({name: Adam(rate, 0.0, 0.9) for name, rate in RATES.items()})
        draw_of = lambda phase, repeat: ("g_main", "d_main").index(phase)
        pair.compare(draws, draw_of, networks, Reference(draws, networks))
