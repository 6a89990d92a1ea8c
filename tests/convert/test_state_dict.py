"""Reference names and layouts <-> our trees."""

import numpy as np
import pytest

from flaxgan.convert import state_dict


def _random(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def _state():
    """A little of everything the reference's networks hold."""
    return {
        "synthesis.b4.const": _random(5, 4, 4),
        "synthesis.b4.resample_filter": np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64,
        "synthesis.b4.conv1.weight": _random(6, 5, 3, 3),
        "synthesis.b4.conv1.bias": _random(6),
        "synthesis.b4.conv1.noise_strength": np.asarray(0.25, np.float32),
        "synthesis.b4.conv1.noise_const": _random(4, 4),
        "synthesis.b4.conv1.affine.weight": _random(5, 7),
        "mapping.fc0.weight": _random(7, 3),
        "mapping.w_avg": _random(7),
    }


def test_layouts_and_collections():
    state = _state()
    params, buffers = state_dict.to_flax(state)
    conv1 = params["synthesis"]["b4"]["conv1"]
    assert conv1["weight"].shape == (3, 3, 5, 6)
    assert conv1["weight"][1, 2, 3, 4] == state["synthesis.b4.conv1.weight"][4, 3, 1, 2]
    assert conv1["noise_strength"].shape == ()
    assert conv1["affine"]["weight"].shape == (7, 5)
    assert params["mapping"]["fc0"]["weight"][2, 5] == state["mapping.fc0.weight"][5, 2]
    assert params["synthesis"]["b4"]["const"][1, 2, 3] == state["synthesis.b4.const"][3, 1, 2]
    assert buffers["mapping"]["w_avg"].shape == (7,)
    np.testing.assert_array_equal(
        buffers["synthesis"]["b4"]["conv1"]["noise_const"], state["synthesis.b4.conv1.noise_const"]
    )


def test_round_trip_keeps_everything_but_filters():
    state = _state()
    back = state_dict.from_flax(*state_dict.to_flax(state))
    assert set(back) == {name for name in state if not name.endswith("resample_filter")}
    for name, array in back.items():
        assert array.dtype == state[name].dtype
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("grid", [(4, 4), (4, 6), (3, 5)])
def test_dense_layer_after_the_flatten_reads_channels_last(grid):
    channels = 5
    x = _random(2, channels, *grid)
    weight = _random(channels, channels * grid[0] * grid[1])
    params, _ = state_dict.to_flax({"b4.fc.weight": weight, "b4.fc.bias": _random(channels)})
    ours = x.transpose(0, 2, 3, 1).reshape(2, -1) @ params["b4"]["fc"]["weight"]
    np.testing.assert_allclose(ours, x.reshape(2, -1) @ weight.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(state_dict.from_flax(params)["b4.fc.weight"], weight)


def test_state_of_a_single_module():
    params, buffers = state_dict.to_flax({"weight": _random(6, 5, 3, 3), "bias": _random(6)})
    assert params["weight"].shape == (3, 3, 5, 6)
    assert buffers == {}
    assert state_dict.from_flax(params)["weight"].shape == (6, 5, 3, 3)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"b4.running_mean": _random(3)}, "^b4.running_mean: found unknown tensor"),
        ({"b4.conv.weight": _random(3)}, r"^b4.conv.weight: found shape \[3\], allowed: 4 or 2 axes"),
        ({"b4.conv.bias": _random(3, 3)}, "allowed: 1 axes"),
        ({"b4.const": _random(3, 3)}, "allowed: 3 axes"),
        ({"b4.fc.weight": _random(4, 30)}, r"C \* H \* W"),
        ({"b4.weight": _random(3, 3), "b4.weight.bias": _random(3)}, "^b4.weight: found both a module and a tensor"),
        ({"b4.weight.bias": _random(3), "b4.weight": _random(3, 3)}, "^b4.weight: found both a module and a tensor"),
    ],
)
def test_what_the_reference_never_writes_is_refused(state, message):
    with pytest.raises(ValueError, match=message):
        state_dict.to_flax(state)


def test_wrong_shapes_are_refused_on_the_way_back():
    with pytest.raises(ValueError, match="allowed: 4 or 2 axes"):
        state_dict.from_flax({"conv": {"weight": _random(3)}})
    with pytest.raises(ValueError, match="H . W . C"):
        state_dict.from_flax({"fc": {"weight": _random(30, 4)}})
    with pytest.raises(ValueError, match="running_mean"):
        state_dict.from_flax({"conv": {"running_mean": _random(3)}})
    with pytest.raises(ValueError, match="weight"):
        state_dict.from_flax({}, {"conv": {"weight": _random(3, 3)}})
