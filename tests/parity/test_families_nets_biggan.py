"""BigGAN and BigGAN-deep as in BigGAN-PyTorch, against families/nets_biggan.npz."""

import jax.numpy as jnp
import pytest
import torch_biggan
import torch_networks
from goldens import Case, Suite
from layer_calls import compare_calls

from flaxgan.networks import biggan
from flaxgan.types import Gan

# In float32 a ReLU whose input is within rounding of zero may switch.
OF_GRADIENTS = {"float32": 1e-2, "float64": 5e-7}

suite = Suite(__name__, float32=2e-4, float64=5e-7)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*_G", inputs=["sd/*", "in/z", "in/y", "cot"], notes=["n_params"])
def run_generator(case: Case):
    gan = _build(case, z_dim=case.option("dim_z_used"))
    shared = (torch_biggan.DEFAULTS | case.option("cfg"))["G_shared"]
    parts = torch_biggan.generator_parts(case.inputs("sd/"), gan, shared=shared)

    def call(state, inputs, train):
        images, changed = torch_networks.apply(gan.generator, parts, state, train, inputs["z"], inputs["y"])
        return jnp.moveaxis(images, -1, 1), changed

    compare_calls(case, call, case.inputs("in/"), case.input("cot"), scale_of_zeros=1.0, of_gradients=OF_GRADIENTS)


@suite.kind("*_D", inputs=["sd/*", "in/x", "in/y", "cot"], notes=["n_params"])
def run_discriminator(case: Case):
    gan = _build(case)
    parts = torch_biggan.discriminator_parts(case.inputs("sd/"), gan)

    def call(state, inputs, train):
        images = jnp.moveaxis(inputs["x"], 1, -1)
        output, changed = torch_networks.apply(gan.discriminator, parts, state, train, images, inputs["y"])
        return output.logits[:, None], changed

    compare_calls(case, call, case.inputs("in/"), case.input("cot"), of_gradients=OF_GRADIENTS)


def _build(case: Case, **more: int) -> Gan:
    """The networks of a case's constructor arguments."""
    cfg = torch_biggan.DEFAULTS | case.option("cfg")
    size = cfg["resolution"]
    return biggan.build(image_shape=(size, size, 3), num_classes=cfg["n_classes"], **torch_biggan.fields(cfg), **more)
