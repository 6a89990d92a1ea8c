"""The networks of SNGAN and projection cGAN, those of mimicry, against families/nets_mimicry.npz."""

import jax.numpy as jnp
import pytest
import torch_mimicry
import torch_networks
from goldens import Case, Suite, run_as_program
from layer_calls import compare_calls

suite = Suite(__name__, float32=2e-4, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*_G", inputs=["sd/*", "in/z", "in/y", "cot"], notes=["n_params", "cfg"])
def run_generator(case: Case):
    generator, parts = torch_mimicry.generator(case.inputs("sd/"), case.arrays["train/out"].shape[2:])

    def call(state, inputs, train):
        labels = [inputs["y"]] if "y" in inputs else []
        images, changed = torch_networks.apply(generator, parts, state, train, inputs["z"], *labels)
        return jnp.moveaxis(images, -1, 1), changed

    compare_calls(case, call, case.inputs("in/"), case.input("cot"), scale_of_zeros=1.0)


@suite.kind("*_D", inputs=["sd/*", "in/x", "in/y", "cot"], notes=["n_params", "cfg"])
def run_discriminator(case: Case):
    """As in the library, whose ReLU overwrites its input, and where it does not."""
    state, inputs = case.inputs("sd/"), case.inputs("in/")

    def call_of(activated_shortcut):
        size = inputs["x"].shape[2:]
        discriminator, parts = torch_mimicry.discriminator(state, size, activated_shortcut=activated_shortcut)

        def call(state, inputs, train):
            labels = [inputs["y"]] if "y" in inputs else []
            images = jnp.moveaxis(inputs["x"], 1, -1)
            output, changed = torch_networks.apply(discriminator, parts, state, train, images, *labels)
            return output.logits[:, None], changed

        return call

    compare_calls(case, call_of(True), inputs, case.input("cot"))
    out, _ = run_as_program(lambda: call_of(False)(state, inputs, False))
    case.compare("contrast/eval_out_if_relu_not_inplace", out)
