"""SELF-MOD's normalization and the layers around it, as compare_gan has them, against families/compare_gan_tf.npz."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from goldens import Case, Suite
from layer_calls import compare_calls

from flaxgan.nn.attention import SelfAttention
from flaxgan.nn.generator_norm import Condition
from flaxgan.nn.layers import Conv, ConvTranspose, Dense, SpectralNorm
from flaxgan.nn.norm_config import NormConfig
from flaxgan.nn.residual import DiscriminatorBlock, GeneratorBlock
from flaxgan.ops.spectral_norm import power_iteration, spectral_sigma

SHARED = "all"
INPUTS = ("sd/*", "in/*", "cot")

State = Mapping[str, jax.Array]

suite = Suite(__name__, float32=2e-5, float64=5e-7, shared_cases=[SHARED])


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*batch_norm*", inputs=INPUTS)
def run_norm(case: Case):
    parts = [_Norm("batch_norm", "norm")]
    _compare(case, _norm_choice(case, parts[0]).layer(None), parts, lambda inputs: (inputs["x"], _condition(inputs)))


@suite.kind("linear*", inputs=INPUTS)
def run_linear(case: Case):
    parts = [_Kernel("linear", "")]
    layer = Dense(case.arrays["cot"].shape[-1], spectral=_spectral(case))
    _compare(case, layer, parts, lambda inputs: (inputs["z"],))


@suite.kind("conv*", inputs=INPUTS)
def run_convolution(case: Case):
    size, _, _, features = case.arrays["sd/conv2d/kernel"].shape
    strides = -(-case.arrays["in/x"].shape[1] // case.arrays["cot"].shape[1])
    layer = Conv(features, size, strides, padding="SAME", spectral=_spectral(case))
    _compare(case, layer, [_Kernel("conv2d", "")], lambda inputs: (inputs["x"],))


@suite.kind("deconv*", inputs=INPUTS)
def run_transposed_convolution(case: Case):
    """Of the pixels that TensorFlow crops, an odd one is at the end."""
    size, _, features, _ = case.arrays["sd/deconv2d/kernel"].shape
    _, height, width, _ = case.arrays["cot"].shape
    pixels = case.arrays["in/x"].shape[1]
    strides = -(-height // pixels)
    layer = ConvTranspose(features, size, strides, padding=((pixels - 1) * strides + size - height) // 2)
    parts = [_Kernel("deconv2d", "", transposed=True)]
    crop = lambda y: y[:, :height, :width]
    _compare(case, layer, parts, lambda inputs: (inputs["x"],), of_output=crop)


@suite.kind("non_local_block*", inputs=INPUTS)
def run_attention(case: Case):
    parts = [_Kernel(f"nl/conv2d_{name}", name) for name in ("theta", "phi", "g")]
    parts += [_Kernel("nl/conv2d_attn_g", "o"), _Number("nl/sigma", "gamma")]
    _compare(case, SelfAttention(spectral=_spectral(case)), parts, lambda inputs: (inputs["x"],))


@suite.kind("*block_up*", inputs=INPUTS)
def run_generator_block(case: Case):
    """Zeros between the pixels; a 3x3 shortcut, or BigGAN's 1x1."""
    convs, norms = _block_parts(case), [_Norm(f"B/bn{number}", f"norm{number}/norm") for number in (1, 2)]
    shortcut = case.arrays[f"sd/{convs[-1].theirs}/kernel"].shape
    block = GeneratorBlock(
        shortcut[3],
        norm=_norm_choice(case, norms[0]),
        upsampling="zeros",
        shortcut_kernel=shortcut[0],
        spectral=_spectral(case, convs[0].theirs),
    )
    _compare(case, block, [*convs, *norms], lambda inputs: (inputs["x"], _condition(inputs)))


@suite.kind("resnet_block*", inputs=INPUTS)
def run_discriminator_block(case: Case):
    convs = _block_parts(case)
    hidden, features = (case.arrays[f"sd/{conv.theirs}/kernel"].shape[3] for conv in convs[:2])
    block = DiscriminatorBlock(
        features,
        hidden,
        downsample=convs[1].theirs.startswith("B/down"),
        shortcut_kernel=case.arrays[f"sd/{convs[2].theirs}/kernel"].shape[0],
        spectral=_spectral(case, convs[0].theirs),
    )
    _compare(case, block, convs, lambda inputs: (inputs["x"],))


def _compare(case: Case, layer: nn.Module, parts, arguments, of_output=lambda y: y) -> None:
    """Compares all that the goldens say of calls of a layer that consists of these parts."""

    def call(state, inputs, train):
        found = [part.variables(state) for part in parts]
        flat = {path: array for variables, _ in found for path, array in variables.items()}
        expected = flatten_dict(jax.eval_shape(layer.init, jax.random.key(0), *arguments(inputs)), sep="/")
        shapes = lambda tree: {path: leaf.shape for path, leaf in tree.items()}
        if shapes(flat) != shapes(expected):
            raise AssertionError(f"the state holds {shapes(flat)}, the layer {shapes(expected)}")
        variables = unflatten_dict(flat, sep="/")
        mutable = [name for name in variables if name != "params"] if train else []
        y, new = layer.apply(variables, *arguments(inputs), train=train, mutable=mutable)
        new = flatten_dict(new, sep="/")
        changed = {name: array for _, own in found for name, array in own.items()}
        changed |= {name: array for part in parts for name, array in part.changes(state, new).items()}
        return of_output(y), changed if train else {}

    compare_calls(case, call, case.inputs("in/"), case.input("cot"))


def _condition(inputs) -> Condition:
    return Condition(inputs.get("z"), inputs.get("y"))


def _spectral(case: Case, name: str = "*") -> SpectralNorm | None:
    """With the vector [I, 1] the iteration starts from the input's, with [1, O] from the output's."""
    keys = case.keys(f"sd/{name}/kernel/u_var")
    if not keys:
        return None
    from_input = case.arrays[keys[0]].shape[1] == 1
    return SpectralNorm(case.shared_option(SHARED, "sn_eps"), eval_iterates=True, from_input=from_input)


def _norm_choice(case: Case, norm: "_Norm") -> NormConfig:
    under = lambda pattern: case.keys(f"sd/{norm.theirs}/{pattern}")
    hidden = under("sbn/hidden/bias")
    classes = under("condition/gamma/kernel")
    return NormConfig(
        kind="self_modulated" if under("sbn/*") else "conditional" if classes else "batch",
        num_classes=case.arrays[classes[0]].shape[0] if classes else 0,
        eps=case.shared_option(SHARED, "bn_eps"),
        momentum=1 - case.shared_option(SHARED, "bn_decay"),
        hidden=case.arrays[hidden[0]].size if hidden else None,
        spectral=_spectral(case, f"{norm.theirs}/sbn/*"),
        unbiased=False,
    )


def _block_parts(case: Case) -> list["_Kernel"]:
    """conv1, conv2 and the shortcut, whose names begin with what they do to the size of the map."""
    parts = []
    for ours, theirs in {"conv1": "conv1", "conv2": "conv2", "shortcut": "conv_shortcut"}.items():
        (key,) = case.keys(f"sd/B/*_{theirs}/kernel")
        parts.append(_Kernel(key.removeprefix("sd/").removesuffix("/kernel"), ours))
    return parts


class _Kernel(NamedTuple):
    """A layer of the name `theirs` with a kernel and perhaps a bias; `ours` is its path, empty for the whole layer."""

    theirs: str
    ours: str
    transposed: bool = False

    def variables(self, state: State):
        """(variables by path, what the conversion itself changes of the state)."""
        path = f"/{self.ours}/" if self.ours else "/"
        kernel = state[f"{self.theirs}/kernel"]
        found = {f"params{path}kernel": jnp.swapaxes(kernel, 2, 3) if self.transposed else kernel}
        if f"{self.theirs}/bias" in state:
            found[f"params{path}bias"] = state[f"{self.theirs}/bias"]
        vector = state.get(f"{self.theirs}/kernel/u_var")
        if vector is not None:
            outputs, inputs = kernel.shape[-1], kernel.size // kernel.shape[-1]
            from_input = vector.shape[1] == 1
            found[f"spectral{path}u"] = jnp.zeros(outputs) if from_input else vector.ravel()
            found[f"spectral{path}v"] = vector.ravel() if from_input else jnp.zeros(inputs)
        return found, {}

    def changes(self, state: State, new: State) -> State:
        name = f"{self.theirs}/kernel/u_var"
        if name not in state or not new:
            return {}
        path = f"spectral/{self.ours}/" if self.ours else "spectral/"
        return {name: new[f"{path}{'v' if state[name].shape[1] == 1 else 'u'}"]}


class _Number(NamedTuple):
    """A parameter by itself."""

    theirs: str
    ours: str

    def variables(self, state: State):
        return {f"params/{self.ours}": state[self.theirs]}, {}

    def changes(self, state: State, new: State) -> State:
        return {}


class _Norm(NamedTuple):
    """Batch normalization: plain, self-modulated, or with gain and offset that are linear in y."""

    theirs: str
    ours: str

    def variables(self, state: State):
        statistics = {"mean": "moving_mean", "var": "moving_variance"}
        found = {f"batch_stats/{self.ours}/{name}": state[f"{self.theirs}/{t}"] for name, t in statistics.items()}
        changed = {}
        for name in self._dense(state):
            found |= _Kernel(f"{self.theirs}/sbn/{name}", f"{self.ours}/{name}").variables(state)[0]
        if f"{self.theirs}/condition/gamma/kernel" in state:
            tables = []
            for name in ("gamma", "beta"):
                table, own = _normalized(state, f"{self.theirs}/condition/{name}/kernel")
                tables, changed = [*tables, table], changed | own
            found[f"params/{self.ours}/embed/embedding"] = jnp.concatenate(tables, axis=1)
        elif f"{self.theirs}/gamma" in state:
            names = {"scale": "gamma", "bias": "beta"}
            found |= {f"params/{self.ours}/{ours}": state[f"{self.theirs}/{name}"] for ours, name in names.items()}
        return found, changed

    def changes(self, state: State, new: State) -> State:
        found = {}
        for name in self._dense(state):
            found |= _Kernel(f"{self.theirs}/sbn/{name}", f"{self.ours}/{name}").changes(state, new)
        if new:
            found[f"{self.theirs}/moving_mean"] = new[f"batch_stats/{self.ours}/mean"]
            found[f"{self.theirs}/moving_variance"] = new[f"batch_stats/{self.ours}/var"]
        return found

    def _dense(self, state: State) -> list[str]:
        return [name for name in ("hidden", "gamma", "beta") if f"{self.theirs}/sbn/{name}/kernel" in state]


def _normalized(state: State, name: str):
    """(weight over its singular value, where there is spectral normalization, what that changes of the state).

    Our table of classes has no spectral normalization of its own: no family takes it.
    """
    weight, vector = state[name], state.get(f"{name}/u_var")
    if vector is None:
        return weight, {}
    matrix = weight if vector.shape[1] == 1 else weight.T
    vectors = power_iteration(matrix, vector.ravel())
    return weight / spectral_sigma(matrix, *vectors), {f"{name}/u_var": vectors[0]}
