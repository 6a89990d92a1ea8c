"""The passes of the discriminator over generated and real images, against a discriminator in NumPy."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans
import tiny_runs
from flax import linen as nn

from flaxgan import augment
from flaxgan.config import InputNoiseConfig
from flaxgan.nn.layers import Dense, Embed, SpectralNorm
from flaxgan.train.distributed import device_mesh
from flaxgan.train.step import forward, loss_context, phases
from flaxgan.train.step.random_inputs import label_sampler
from flaxgan.types import DiscriminatorOutput, Gan

NUM_CLASSES = 3
ORDERS = ("fakes_first", "reals_first", "concatenated")
MOMENTUM = 0.25


class NormalizedDiscriminator(nn.Module):
    """A spectrally normalized layer, batch normalization without affine parameters, class logits and projection."""

    @nn.compact
    def __call__(self, images, labels=None, *, train: bool = False):
        x = Dense(6, use_bias=False, spectral=SpectralNorm(), name="first")(
            images.reshape(images.shape[0], -1), train=train
        )
        mean = self.variable("batch_stats", "mean", jnp.zeros, (6,))
        if train and not self.is_initializing():
            mean.value = (1 - MOMENTUM) * mean.value + MOMENTUM * x.mean(axis=0)
        x = jnp.tanh((x - x.mean(axis=0)) / jnp.sqrt(x.var(axis=0) + 1e-5))
        logits = Dense(1, use_bias=False, name="last")(x)[:, 0]
        embedded = Embed(NUM_CLASSES, 6, name="embed")(labels)
        return DiscriminatorOutput(
            logits + jnp.sum(embedded * x, axis=-1), x, Dense(NUM_CLASSES, use_bias=False, name="classes")(x)
        )


class NumpyDiscriminator:
    """The same in float64; `u` and `mean` move with each call."""

    def __init__(self, params, variables):
        array = lambda x: np.asarray(x, np.float64)
        self.first, self.last = array(params["first"]["kernel"]), array(params["last"]["kernel"])
        self.embed, self.classes = array(params["embed"]["embedding"]), array(params["classes"]["kernel"])
        self.u, self.mean = array(variables["spectral"]["first"]["u"]), array(variables["batch_stats"]["mean"])

    def __call__(self, images, labels):
        matrix = self.first.T
        v = matrix.T @ self.u
        v /= np.linalg.norm(v)
        self.u = matrix @ v
        self.u /= np.linalg.norm(self.u)
        x = np.asarray(images, np.float64).reshape(len(images), -1) @ self.first / (self.u @ matrix @ v)
        self.mean = (1 - MOMENTUM) * self.mean + MOMENTUM * x.mean(axis=0)
        x = np.tanh((x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5))
        logits = (x @ self.last)[:, 0] + np.sum(self.embed[np.asarray(labels)] * x, axis=-1)
        return logits, x, x @ self.classes


def _setup(**fields):
    """Classes, and labels of generated images that are not those of the reals."""
    setup = small_gans.setup_of(style=False, update_order="d_g", **fields)
    gan = Gan(small_gans.PlainGenerator(), NormalizedDiscriminator(), 5, small_gans.IMAGE_SHAPE, NUM_CLASSES)
    return dataclasses.replace(setup, gan=gan, labels=label_sampler(np.array([1, 2, 3])))


def _round(setup):
    """State, reals with classes and the inputs of one round of D's phase."""
    state, reals = small_gans.init(setup), small_gans.reals()
    reals = reals._replace(labels=jnp.arange(len(reals.labels)) % NUM_CLASSES)
    inputs = jax.tree.map(lambda x: x[0], phases.by_name(setup, "d_main").draw(jax.random.key(4)))
    return state, reals, inputs


def _expected(order, d, fakes, fake_labels, reals, real_labels):
    """The outputs for generated and real images in an order of passes."""
    if order == "fakes_first":
        fake = d(fakes, fake_labels)
        return fake, d(reals, real_labels)
    if order == "reals_first":
        real = d(reals, real_labels)
        return d(fakes, fake_labels), real
    both = d(np.concatenate([fakes, reals]), np.concatenate([fake_labels, real_labels]))
    return [x[: len(fakes)] for x in both], [x[len(fakes) :] for x in both]


@pytest.mark.parametrize("order", ORDERS)
def test_the_passes_of_d_are_those_of_the_field(order):
    setup = _setup(d_passes=order)
    state, reals, inputs = _round(setup)
    context = loss_context.create(setup, "d", state.d.params, state, reals, inputs)
    fakes = forward.generate(setup.gan, state.g.params, state.g.variables, inputs.latents).images
    d = NumpyDiscriminator(state.d.params, state.d.variables)
    expected = _expected(order, d, fakes, inputs.latents.labels, reals.images, reals.labels)
    for call, values in zip((context.fake_call, context.real_call), expected, strict=True):
        for found, value in zip(call.output, values, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(context.d_variables["spectral"]["first"]["u"], d.u, atol=1e-5)
    np.testing.assert_allclose(context.d_variables["batch_stats"]["mean"], d.mean, atol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_a_phase_of_d_keeps_the_variables_after_its_last_pass(order):
    setup = _setup(d_passes=order)
    state, reals, inputs = _round(setup)
    context = loss_context.create(setup, "d", state.d.params, state, reals, inputs)
    update = phases.by_name(setup, "d_main").update
    after, _ = update(state, reals, jax.tree.map(lambda x: x[None], inputs))
    found, expected = after.d.variables, context.d_variables
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, expected)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_the_generators_phase_shows_d_its_fakes_alone_and_first(order, loss):
    setup = _setup(d_passes=order, loss=loss)
    state, reals, inputs = _round(setup)
    fakes = forward.generate(setup.gan, state.g.params, state.g.variables, inputs.latents).images
    context = loss_context.create(setup, "g", state.g.params, state, reals, inputs)
    d = NumpyDiscriminator(state.d.params, state.d.variables)
    np.testing.assert_allclose(context.fake_call.output.logits, d(fakes, inputs.latents.labels)[0], rtol=1e-4)
    np.testing.assert_allclose(context.d_variables["spectral"]["first"]["u"], d.u, atol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_fakes_and_reals_have_augmentation_and_noise_of_their_own(order):
    noise = InputNoiseConfig(weight=4.0)
    setup = dataclasses.replace(_setup(d_passes=order, input_noise=noise), augment_spec=augment.preset("cutout"))
    state, reals, inputs = _round(setup)
    state = state.replace(input_score=jnp.float32(1.0), ada=state.ada.replace(p=jnp.float32(1.0)))
    context = loss_context.create(setup, "d", state.d.params, state, reals, inputs)
    perturb = lambda images, draws, noise: augment.augment(images, draws, 1.0, setup.augment_spec) + noise
    seen = (
        perturb(context.fakes.images, inputs.fake_draws, inputs.fake_noise),
        perturb(reals.images, inputs.real_draws, inputs.real_noise),
    )
    d = NumpyDiscriminator(state.d.params, state.d.variables)
    expected = _expected(order, d, seen[0], inputs.latents.labels, seen[1], reals.labels)
    np.testing.assert_allclose(context.fake_call.output.logits, expected[0][0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(context.real_call.output.logits, expected[1][0], rtol=1e-3, atol=1e-4)


def test_a_concatenated_pass_moves_no_image_between_devices():
    """On eight devices the only communication is that of sums: means, batch statistics and gradients."""
    program = "import json, test_d_passes; print(json.dumps(test_d_passes.on_devices()))"
    tests = tiny_runs.ROOT / "tests"
    folders = [tiny_runs.ROOT, tests, tests / "train", pathlib.Path(__file__).parent]
    environment = {**tiny_runs.environment(devices=8), "PYTHONPATH": os.pathsep.join(map(str, folders))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "all-reduce" in found["collectives"] and set(found["collectives"]) == {"all-reduce"}
    np.testing.assert_allclose(found["eight"], found["one"], rtol=1e-4)


def on_devices() -> dict:
    """The kinds of communication of D's phase on eight devices, and its values on one and on eight."""
    values = {}
    for name, count in (("one", 1), ("eight", 8)):
        mesh = jax.sharding.Mesh(jax.devices()[:count], ("data",))
        setup = dataclasses.replace(_setup(d_passes="concatenated"), constrain=device_mesh.constrain_batch(mesh))
        state, batch = jax.device_put(small_gans.init(setup), device_mesh.replicated(mesh)), small_gans.batch()
        batch = jax.device_put(batch, device_mesh.batched(mesh))
        program = phases.by_name(setup, "d_main").program(seed=1)
        compiled = jax.jit(program, out_shardings=device_mesh.replicated(mesh)).lower(state, batch, 0).compile()
        after, scalars = compiled(state, batch, 0)
        values[name] = [float(x) for x in (scalars["loss"][0], *after.d.variables["batch_stats"]["mean"])]
    kinds = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
    return values | {"collectives": [kind for kind in kinds if f" {kind}(" in compiled.as_text()]}
