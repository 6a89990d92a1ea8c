"""Self-attention and the projection head against families/attention_projection.npz."""

import jax
import jax.numpy as jnp
import pytest
from goldens import Case, Suite, nhwc, run_as_program
from layer_calls import AJBROCK, ajbrock_changes, ajbrock_vectors, compare_calls

from flaxgan.nn.attention import SelfAttention
from flaxgan.nn.projection import ProjectionHead

suite = Suite(__name__, float32=2e-5, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("attn*", inputs=["sd/*", "x", "cot"])
def run_attention(case: Case):
    names = ("theta", "phi", "g", "o")
    layer = SelfAttention(spectral=AJBROCK if case.keys("sd/*.u0") else None)

    def variables(state):
        kernels = {name: {"kernel": jnp.transpose(state[f"{name}.weight"], (2, 3, 1, 0))} for name in names}
        return {"params": {"gamma": state["gamma"], **kernels}, **_spectral(layer, state, names)}

    def call(state, inputs, train):
        x = jnp.moveaxis(inputs["x"], 1, -1)
        y, new = layer.apply(variables(state), x, train=train, mutable=["spectral"] if train else [])
        return jnp.moveaxis(y, -1, 1), _changes(state, new)

    compare_calls(case, call, {"x": case.input("x")}, case.input("cot"))
    if "attention_map" in case.arrays:
        state, x = case.inputs("sd/"), nhwc(case.input("x"))
        _, new = run_as_program(lambda: layer.apply(variables(state), x, mutable=["intermediates"]))
        case.compare("attention_map", new["intermediates"]["attention"][0])


@suite.kind("proj_head*", inputs=["sd/*", "h", "y", "cot"])
def run_projection_head(case: Case):
    spectral = AJBROCK if case.keys("sd/*.u0") else None
    layer = ProjectionHead(num_classes=case.arrays["sd/embed.weight"].shape[0], spectral=spectral)

    def call(state, inputs, train):
        linear = {"kernel": state["linear.weight"].T, "bias": state["linear.bias"]}
        params = {"linear": linear, "embed": {"embedding": state["embed.weight"]}}
        variables = {"params": params, **_spectral(layer, state, ("linear", "embed"))}
        features = jnp.sum(jax.nn.relu(inputs["h"]), axis=(2, 3))
        mutable = ["spectral"] if train else []
        logits, new = layer.apply(variables, features, inputs["y"], train=train, mutable=mutable)
        return logits[:, None], _changes(state, new)

    compare_calls(case, call, {"h": case.input("h"), "y": case.input("y")}, case.input("cot"))


def _spectral(layer, state, names):
    return {"spectral": {name: ajbrock_vectors(state, name) for name in names}} if layer.spectral else {}


def _changes(state, new):
    changes = {}
    for name, vectors in new.get("spectral", {}).items():
        changes |= ajbrock_changes(state, name, vectors)
    return changes
