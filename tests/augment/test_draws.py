import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erfinv

from flaxgan import augment
from flaxgan.augment import draws as drawing

EVERYTHING = augment.preset("bgcfnc")
SHAPE = (5, 6, 3)


def _draw(spec=EVERYTHING, batch=2, seed=0, **kwargs):
    return augment.draw(jax.random.key(seed), spec, batch, SHAPE, **kwargs)


def test_only_what_the_spec_enables_is_drawn():
    draws = _draw(augment.AugmentSpec(rotate=1, noise=0.5))
    assert {name for name, value in draws._asdict().items() if value is not None} == {
        "rotate_pre",
        "rotate_post",
        "noise",
        "noise_image",
    }


def test_shapes_are_those_of_the_batch():
    draws = _draw(batch=7)
    for name, (_, shape) in drawing.VALUES.items():
        gate = (7, 4) if name == "imgfilter" else (7,)
        assert getattr(draws, name).gate.shape == gate
        assert getattr(draws, name).value.shape == (7, *shape)
    assert draws.noise_image.shape == (7, *SHAPE)


def test_values_follow_their_distributions_and_are_independent():
    draws = _draw(batch=4000)
    numbers = {}
    for name, (distribution, _) in drawing.VALUES.items():
        gate, value = getattr(draws, name)
        numbers |= {f"{name} gate": (gate, "uniform"), f"{name} value": (value, distribution)}
    columns = []
    for name, (array, distribution) in numbers.items():
        mean, std = {"uniform": (0.5, 1 / np.sqrt(12)), "normal": (0, 1)}[distribution]
        assert abs(float(jnp.mean(array)) - mean) < 0.07, name
        assert abs(float(jnp.std(array)) - std) < 0.05, name
        if distribution == "uniform":
            assert float(jnp.min(array)) >= 0 and float(jnp.max(array)) < 1, name
        columns += list(np.asarray(array).reshape(4000, -1).T)
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlation).max() < 0.08  # 5 standard deviations of chance.


def test_a_key_gives_its_draws_and_another_key_others():
    same, again, other = _draw(seed=0), _draw(seed=0), _draw(seed=1)
    jax.tree.map(np.testing.assert_array_equal, same, again)
    assert all(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(other), strict=True))


def test_rounds_can_be_drawn_at_once():
    keys = jax.random.split(jax.random.key(0), 3)
    spec = augment.AugmentSpec(xint=1, imgfilter=1, noise=1)
    rounds = jax.jit(jax.vmap(lambda key: augment.draw(key, spec, 2, SHAPE)))(keys)
    second = augment.draw(keys[1], spec, 2, SHAPE)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1], b), rounds, second)


def test_percentile_values():
    q = float(np.float32(0.31))
    noise_image = jnp.ones((2, *SHAPE))
    draws = augment.percentile_draws(0.31, EVERYTHING, 2, noise_image=noise_image)
    for name, (distribution, _) in drawing.VALUES.items():
        expected = {"uniform": q, "normal": erfinv(2 * q - 1)}[distribution]
        expected = {"rotate_post": 0.5, "noise": erfinv(q)}.get(name, expected)
        gate, value = getattr(draws, name)
        assert np.all(gate < 0), name
        np.testing.assert_allclose(value, np.full(value.shape, expected), rtol=1e-6, err_msg=name)
    assert draws.noise_image is noise_image


@pytest.mark.parametrize("percentile", [0, 1, -0.1, 2, float("nan")])
def test_a_percentile_outside_the_open_interval_is_refused(percentile):
    with pytest.raises(ValueError, match="percentile: found .* above 0 and below 1"):
        augment.percentile_draws(percentile, EVERYTHING, 2)


def test_percentile_draws_with_noise_need_the_noise():
    with pytest.raises(ValueError, match="noise_image: found None"):
        augment.percentile_draws(0.5, augment.preset("noise"), 2)


def test_applied_takes_the_value_below_the_probability_and_else_the_neutral_one():
    draw = augment.Draw(gate=jnp.array([0.0, 0.49, 0.5]), value=jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    found = drawing.applied(draw, draw.value, 0.5, neutral=-1)
    np.testing.assert_array_equal(found, [[1, 2], [3, 4], [-1, -1]])
    np.testing.assert_array_equal(drawing.applied(draw, draw.value[:, 0], 0.0, neutral=7), [7, 7, 7])
