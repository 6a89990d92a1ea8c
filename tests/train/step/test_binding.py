import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_gans
import tiny_runs
from flax import linen as nn

from flaxgan.config import AugmentConfig, LatentConfig, OptimizerConfig
from flaxgan.latent_prior import LatentPrior
from flaxgan.losses import adversarial, regularizers
from flaxgan.losses.stateful import stateful
from flaxgan.train.recipes.loader import load_recipe
from flaxgan.train.step import binding, forward, loss_context, objectives, phases
from flaxgan.types import DiscriminatorOutput

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def config():
    return load_recipe(f"{tiny_runs.RECIPE}:rgb")


def test_names_become_code(config):
    built = binding.build(config, SHAPE)
    assert built.loss.function is adversarial.non_saturating
    assert built.gan.image_shape == SHAPE and built.gan.num_classes == 2 and built.gan.z_dim == 8
    assert built.augment_spec is None and built.config is config
    assert len(built.optimizers) == 2


def test_labels_follow_the_data_or_are_balanced(config):
    share = lambda built: float(np.mean(built.labels(jax.random.key(0), (2000,))))
    assert abs(share(binding.build(config, SHAPE)) - 0.5) < 0.05
    assert abs(share(binding.build(config, SHAPE, labels=np.repeat([0, 1], [1, 9]))) - 0.9) < 0.03


def test_labels_of_fakes_can_be_uniform_over_the_classes_that_have_images(config):
    """As in the codes of projection discriminators, SAGAN and BigGAN."""
    config = dataclasses.replace(config, fake_labels="uniform", data=dataclasses.replace(config.data, num_classes=3))
    built = binding.build(config, SHAPE, labels=np.repeat([0, 2], [1, 9]))
    drawn = np.asarray(built.labels(jax.random.key(0), (2000,)))
    assert set(drawn) == {0, 2} and abs(np.mean(drawn == 2) - 0.5) < 0.05
    vectors = dataclasses.replace(config.data, labels="vectors")
    with pytest.raises(ValueError, match="config.fake_labels: found 'uniform', allowed: 'data', because data.labels"):
        dataclasses.replace(config, data=vectors)


def test_labels_for_metrics_follow_the_data_unless_the_config_says_otherwise(config):
    share = lambda built: float(np.mean(built.metric_labels(jax.random.key(0), (2000,))))
    labels = np.repeat([0, 1], [1, 9])
    assert abs(share(binding.build(config, SHAPE, labels=labels)) - 0.9) < 0.03
    uniform = binding.build(dataclasses.replace(config, metric_labels="uniform"), SHAPE, labels=labels)
    assert abs(share(uniform) - 0.5) < 0.05
    vectors = dataclasses.replace(config.data, labels="vectors")
    with pytest.raises(ValueError, match="config.metric_labels: found 'uniform', allowed: 'data', because data.labels"):
        dataclasses.replace(config, metric_labels="uniform", data=vectors)


def test_the_prior_is_that_of_the_config_in_every_phase(config):
    uniform = dataclasses.replace(config, latent=LatentConfig("uniform", 0.25), style_mixing_probability=0.9)
    built = binding.build(uniform, SHAPE)
    assert built.prior == LatentPrior("uniform", 0.25)
    for phase in phases.build(built):
        latents = phase.draw(jax.random.key(0)).latents
        for z in (latents.z, latents.z_mix):
            assert 0.2 < np.abs(z).max() <= 0.25
    message = "config.latent.bound: found 1.0, allowed: None, because a normal prior has no bound"
    with pytest.raises(ValueError, match=message):
        binding.build(dataclasses.replace(config, latent=LatentConfig(bound=1.0)), SHAPE)


def test_augmentation_is_that_of_the_preset(config):
    augmenting = dataclasses.replace(config, augment=AugmentConfig(policy="fixed", preset="cutout", p=0.5))
    assert binding.build(augmenting, SHAPE).augment_spec is not None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"loss": "hinged"}, r"config.loss: found 'hinged', allowed: .*non_satur"),
        ({"network": {"name": "x"}}, r"config.network.name: found 'x', allowed: .*stylegan2"),
        (
            {"network": {"name": "stylegan2", "zdim": 3}},
            r"config.network: found unknown field 'zdim', allowed: .*z_d",
        ),
        ({"network": {"name": "stylegan2", "z_dim": 0}}, r"config.network.z_dim: found 0, allowed: "),
        ({"network": {"name": "stylegan2", "dtype": "float8"}}, r"config.network.dtype: found 'float8', allowed: "),
        (
            {"augment": AugmentConfig(policy="ada", preset="bg_")},
            r"config.augment.preset: .*found 'bg_', allowed: .*bgc",
        ),
        ({"d_optimizer": OptimizerConfig(name="lion")}, r"d_optimizer.name: found 'lion', allowed: adam, rmsprop, sgd"),
    ],
)
def test_names_without_code_are_refused_with_those_there_are(config, changes, message):
    with pytest.raises(ValueError, match=message):
        binding.build(dataclasses.replace(config, **changes), SHAPE)


def test_an_image_that_the_network_cannot_make_is_refused(config):
    with pytest.raises(ValueError, match=r"config.network: image_shape: found 17x17 pixels"):
        binding.build(config, (17, 17, 3))


def test_style_mixing_needs_styles(config, monkeypatch):
    monkeypatch.setattr(binding, "build_gan", lambda *unused: small_gans.gan(style=False))
    with pytest.raises(ValueError, match=r"config.style_mixing_probability: found 0.9, allowed: 0, because network"):
        binding.build(config, small_gans.IMAGE_SHAPE)


def test_complete_writes_out_every_argument_of_the_code(config):
    assert set(config.network) >= {"name", "z_dim", "activation", "resample_filter"}
    assert config.g_regularizers == {"path_length": {"interval": 2, "batch_shrink": 2, "weight": 2.0, "decay": 0.01}}
    assert config.d_regularizers == {"r1": {"interval": 4, "gamma": 0.1}}
    assert binding.complete(config) == config


@pytest.mark.parametrize("interval", [0, -1, 2.0, "4"])
def test_intervals_are_whole_numbers_from_one(config, interval):
    wrong = dataclasses.replace(config, d_regularizers={"r1": {"interval": interval}})
    with pytest.raises(
        ValueError, match=r"config.d_regularizers.r1.interval: found .*, allowed: a whole number from 1"
    ):
        binding.complete(wrong)


def test_what_nothing_would_read_is_refused(config):
    for field, chosen, message in (
        ("d_regularizers", {"r1": {"batch_shrink": 2}}, "unknown field 'batch_shrink', allowed: gamma, interval"),
        (
            "d_regularizers",
            {"path_length": {}},
            "found 'path_length', allowed: a regularizer of this network: .*r1",
        ),
        ("g_regularizers", {"r1": {}}, "found 'r1', allowed: a regularizer of this network: .*path_length"),
    ):
        with pytest.raises(ValueError, match=rf"config.{field}.*{message}"):
            binding.complete(dataclasses.replace(config, **{field: chosen}))


def _with_a_loss(monkeypatch, function):
    """A setup of the small networks with a discriminator that classifies, and this function as the loss."""
    monkeypatch.setattr(adversarial, "classified", function, raising=False)
    function.__module__, function.__name__ = adversarial.__name__, "classified"
    gan = dataclasses.replace(small_gans.gan(style=False), num_classes=3, discriminator=Classifying())
    config = small_gans.config(loss="classified")
    return dataclasses.replace(
        small_gans.setup_of(style=False), config=config, gan=gan, loss=binding.bind_loss(config, gan)
    )


class Classifying(nn.Module):
    """A discriminator with class logits."""

    @nn.compact
    def __call__(self, images, labels=None, *, train: bool = False):
        x = images.reshape(len(images), -1)
        return DiscriminatorOutput(nn.Dense(1, name="first")(x)[:, 0], None, nn.Dense(3, name="last")(x))


def test_a_loss_may_look_at_class_logits_and_labels(monkeypatch):
    def classified(real_logits, fake_logits, real_class_logits, real_labels, fake_class_logits, fake_labels):
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        real, fake = cross_entropy(real_class_logits, real_labels), cross_entropy(fake_class_logits, fake_labels)
        return jax.nn.softplus(fake_logits - real_logits) + real, fake - fake_logits

    setup = _with_a_loss(monkeypatch, classified)
    state, reals = small_gans.init(setup), small_gans.reals()
    reals = reals._replace(labels=jnp.arange(8, dtype=jnp.int32) % 3)
    inputs = jax.tree.map(lambda x: x[0], phases.by_name(setup, "d_main").draw(jax.random.key(0)))
    value, _ = objectives.main(setup, "d")(state.d.params, state, reals, inputs)
    variables = {"params": state.d.params}
    real = setup.gan.discriminator.apply(variables, reals.images)
    fakes = forward.generate(setup.gan, state.g.params, state.g.variables, inputs.latents).images
    fake = setup.gan.discriminator.apply(variables, fakes)
    log_probabilities = jax.nn.log_softmax(real.class_logits)[jnp.arange(8), reals.labels]
    expected = jnp.mean(jax.nn.softplus(fake.logits - real.logits) - log_probabilities)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_a_loss_that_cannot_be_supplied_is_refused(monkeypatch):
    classified = lambda real_logits, fake_logits, fake_class_logits: (real_logits, fake_logits)
    setup = _with_a_loss(monkeypatch, classified)
    plain = small_gans.gan(style=False)
    with pytest.raises(ValueError, match=r"config.loss: found 'classified', allowed: .*fake_class_logits.*no discrim"):
        binding.bind_loss(setup.config, plain)
    with pytest.raises(ValueError, match=r"its argument: found 'logits', allowed: real_logits, fake_logits, real_cl"):
        _with_a_loss(monkeypatch, lambda logits: (logits, logits))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda real_logits, fake_logits: (real_logits[:, None], {}), r"found a penalty of shape \(8, 1\), allowed: "),
        (lambda real_logits, fake_logits: (real_logits, {"mean": 1.0}), "found the state mean, allowed: .*: none"),
    ],
)
def test_a_regularizer_keeps_its_contract(function, message):
    setup = small_gans.setup_of(d_regularizers={"lecam": {}})
    inputs = setup.loss.inputs
    broken = dataclasses.replace(setup.regularizers.d[0], function=function, inputs=inputs, initial_state={})
    state = small_gans.init(small_gans.setup_of())
    arguments = jax.tree.map(lambda x: x[0], phases.by_name(setup, "d_main").draw(jax.random.key(0)))
    with pytest.raises(ValueError, match=f"the result of regularizer 'lecam': {message}"):
        objectives.regularizer(setup, "d", broken)(state.d.params, state, small_gans.reals(), arguments)


def test_two_regularizers_with_state_of_one_name_are_refused(monkeypatch):
    twin = stateful(lecam_real=0.0)(lambda real_logits, lecam_real: (real_logits, {"lecam_real": lecam_real}))
    monkeypatch.setattr(regularizers, "twin", twin, raising=False)
    twin.__module__ = regularizers.__name__
    with pytest.raises(ValueError, match="config.d_regularizers: found 'twin', allowed: state of other names than"):
        small_gans.setup_of(d_regularizers={"lecam": {}, "twin": {}})


def test_a_new_random_input_draws_from_a_key_of_its_own():
    setup = small_gans.setup_of()
    state = small_gans.init(setup)
    inputs = jax.tree.map(lambda x: x[0], phases.by_name(setup, "d_main").draw(jax.random.key(0)))
    context = loss_context.create(setup, "d", state.d.params, state, small_gans.reals(), inputs, depth=0)
    keys = [context.key("one"), context.key("two"), inputs.latents.noise_key]
    assert len({tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}) == 3
    assert context.key("one") == keys[0]
