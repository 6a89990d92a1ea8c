"""DCGAN's two networks, those of PyTorch's example, against families/nets_dcgan.npz."""

import jax
import jax.numpy as jnp
import pytest
import torch_dcgan
import torch_networks
from goldens import Case, Suite
from layer_calls import compare_calls

suite = Suite(__name__, float32=2e-4, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("G*", inputs=["sd/*", "in/z", "cot"], notes=["n_params", "cfg"])
def run_generator(case: Case):
    generator, parts = torch_dcgan.generator(case.inputs("sd/"), case.arrays["train/out"].shape[2:])

    def call(state, inputs, train):
        images, changed = torch_networks.apply(generator, parts, state, train, inputs["z"][:, :, 0, 0])
        return jnp.moveaxis(images, -1, 1), changed

    compare_calls(case, call, {"z": case.input("in/z")}, case.input("cot"))


@suite.kind("D*", inputs=["sd/*", "in/x", "cot"], notes=["n_params", "cfg", "note"])
def run_discriminator(case: Case):
    """The reference ends in a sigmoid, which here belongs to the loss."""
    x = case.input("in/x")
    discriminator, parts = torch_dcgan.discriminator(case.inputs("sd/"), x.shape[2:])

    def call(state, inputs, train):
        images = jnp.moveaxis(inputs["x"], 1, -1)
        output, changed = torch_networks.apply(discriminator, parts, state, train, images)
        return jax.nn.sigmoid(output.logits), {**changed, "logit": output.logits}

    compare_calls(case, call, {"x": x}, case.input("cot"), beside=("logit",))
