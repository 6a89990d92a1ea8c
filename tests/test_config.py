import dataclasses
import json

import numpy as np
import pytest

from flaxgan import config as configs
from flaxgan.config import AugmentConfig, Config, DataConfig, EmaConfig, OptimizerConfig

NETWORK = {"name": "stylegan2", "z_dim": 8, "resample_filter": (1, 3, 3, 1)}

EVERYTHING = Config(
    network=NETWORK,
    data=DataConfig(source="zip", path="a.zip", resolution=(64, 96), channels=4, num_classes=3, mirror=True),
    seed=5,
    g_regularizers={"path_length": {"interval": 4, "weight": 2.0}},
    g_optimizer=OptimizerConfig(b1=0.5),
    ema=EmaConfig(rampup=0.05),
    augment=AugmentConfig(policy="ada", p_max=0.8),
    metrics=("class_quality",),
    accelerator="gpu_or_tpu",
)


@pytest.mark.parametrize(
    "make, field, found, allowed",
    [
        (lambda: Config({**NETWORK, "z_dim": np.int64(4)}), "network.z_dim", "np.int64(4)", "a plain number, text"),
        (lambda: Config({**NETWORK, "a": (1, {"b": print})}), "network.a.b", "<built-in function print>", "a plain"),
        (lambda: Config(NETWORK, loss_settings={"x": {1: 2}}), "loss_settings.x", "{1: 2}", "names as text"),
        (lambda: Config({}), "network", "{}", "a mapping with a 'name'"),
        (lambda: Config(NETWORK, seed=-1), "seed", "-1", "0 to 2"),
        (lambda: Config(NETWORK, seed=2**32), "seed", "4294967296", "0 to 2"),
        (lambda: Config(NETWORK, batch_size=0), "batch_size", "0", "at least 1"),
        (lambda: Config(NETWORK, batch_size="8"), "batch_size", "'8'", "int"),
        (lambda: Config(NETWORK, batch_size=True), "batch_size", "True", "int"),
        (lambda: Config(NETWORK, total_kimg=0), "total_kimg", "0", "finite number above 0"),
        (lambda: Config(NETWORK, total_kimg=float("inf")), "total_kimg", "inf", "finite number above 0"),
        (lambda: Config(NETWORK, tick_kimg=float("nan")), "tick_kimg", "nan", "finite number above 0"),
        (lambda: Config(NETWORK, snapshot_kimg=-1.0), "snapshot_kimg", "-1.0", "finite number above 0"),
        (
            lambda: Config(NETWORK, batch_size=8, accumulation_rounds=3),
            "accumulation_rounds",
            "3",
            "a divisor of batch_",
        ),
        (lambda: Config(NETWORK, style_mixing_probability=1.5), "style_mixing_probability", "1.5", "in [0, 1]"),
        (lambda: Config(NETWORK, metrics="class_quality"), "metrics", "'class_quality'", "tuple[str, ...]"),
        (lambda: Config(NETWORK, metric_images=0), "metric_images", "0", "at least 1"),
        (lambda: Config(NETWORK, keep_checkpoints=0), "keep_checkpoints", "0", "at least 1"),
        (lambda: Config(NETWORK, accelerator="tpus"), "accelerator", "'tpus'", "'any', 'cpu', 'gpu', 'tpu'"),
        (lambda: Config(NETWORK, matmul_precision="low"), "matmul_precision", "'low'", "'default', 'high'"),
        (lambda: Config(NETWORK, g_regularizers={"r1": 3}), "g_regularizers", "{'r1': 3}", "dict[str, dict"),
        (lambda: Config(NETWORK, data="folder"), "data", "'folder'", "DataConfig"),
        (lambda: DataConfig(source=""), "data.source", "''", "the name of a source"),
        (lambda: DataConfig(resolution=3), "data.resolution", "3", "sides of at least 4 pixels"),
        (lambda: DataConfig(resolution=(64, 2)), "data.resolution", "(64, 2)", "sides of at least 4 pixels"),
        (lambda: DataConfig(resolution=(64, 64, 3)), "data.resolution", "(64, 64, 3)", "tuple[int, int]"),
        (lambda: DataConfig(channels=0), "data.channels", "0", "at least 1"),
        (lambda: DataConfig(num_classes=-1), "data.num_classes", "-1", "0 (no labels) or"),
        (lambda: DataConfig(mirror="False"), "data.mirror", "'False'", "bool"),
        (lambda: DataConfig(num_threads=0), "data.num_threads", "0", "at least 1"),
        (lambda: OptimizerConfig(learning_rate=0), "optimizer.learning_rate", "0", "above 0"),
        (lambda: OptimizerConfig(b1=1.0), "optimizer.b1", "1.0", "in [0, 1)"),
        (lambda: OptimizerConfig(b2=-0.1), "optimizer.b2", "-0.1", "in [0, 1)"),
        (lambda: OptimizerConfig(eps=0), "optimizer.eps", "0", "above 0"),
        (lambda: EmaConfig(half_life_kimg=-1), "ema.half_life_kimg", "-1", "0 or more"),
        (lambda: EmaConfig(rampup=0), "ema.rampup", "0", "None or above 0"),
        (lambda: AugmentConfig(policy="adaptive"), "augment.policy", "'adaptive'", "'off', 'fixed', 'ada'"),
        (lambda: AugmentConfig(p=1.5), "augment.p", "1.5", "in [0, 1]"),
        (lambda: AugmentConfig(p_max=0.0), "augment.p_max", "0.0", "None or in (0, 1]"),
        (lambda: AugmentConfig(target=2.0), "augment.target", "2.0", "in [-1, 1]"),
        (lambda: AugmentConfig(interval=0), "augment.interval", "0", "at least 1"),
        (lambda: AugmentConfig(adjust_kimg=0), "augment.adjust_kimg", "0", "above 0"),
    ],
)
def test_a_wrong_value_is_refused_with_field_value_and_what_is_allowed(make, field, found, allowed):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(f"config.{field}: found {found}, allowed: ")
    assert allowed in str(error.value)


def test_whole_numbers_are_allowed_where_fractions_are():
    assert Config(NETWORK, total_kimg=5, snapshot_kimg=1).total_kimg == 5


@pytest.mark.parametrize("resolution, px", [(64, (64, 64)), ((64, 96), (64, 96)), (None, None)])
def test_resolution_as_height_and_width(resolution, px):
    assert DataConfig(resolution=resolution).resolution_px == px


@pytest.mark.parametrize("config", [EVERYTHING, Config(NETWORK)])
def test_json_round_trip(config):
    assert configs.from_json(configs.to_json(config)) == config


@pytest.mark.parametrize(
    "change, message",
    [
        ({"batchsize": 8}, r"config: found unknown field 'batchsize', allowed: network, data, seed, batch_size"),
        ({"data": {"sauce": "zip"}}, r"config.data: found unknown field 'sauce', allowed: source, path"),
        ({"data": 3}, r"config.data: found 3, allowed: an object with the fields of DataConfig"),
        ({"batch_size": "many"}, r"config.batch_size: found 'many', allowed: int"),
        ({"augment": {"policy": "on"}}, r"config.augment.policy: found 'on', allowed: \['off'"),
    ],
)
def test_json_with_a_wrong_field_is_refused_by_name(change, message):
    fields = json.loads(configs.to_json(EVERYTHING)) | change
    with pytest.raises(ValueError, match=message):
        configs.from_json(json.dumps(fields))


def test_json_without_a_network_or_without_json_is_refused():
    with pytest.raises(ValueError, match="config: missing field 'network'"):
        configs.from_json("{}")
    with pytest.raises(ValueError, match="not JSON"):
        configs.from_json('{"network": ')
    with pytest.raises(ValueError, match="an object with the fields of Config"):
        configs.from_json("[]")


def test_differences_name_each_field_with_both_values():
    other = dataclasses.replace(
        EVERYTHING,
        seed=6,
        data=dataclasses.replace(EVERYTHING.data, resolution=(64, 64)),
        network={"name": "stylegan2", "z_dim": 8, "w_dim": 4},
        g_regularizers={},
    )
    assert configs.differences(EVERYTHING, EVERYTHING) == {}
    assert configs.differences(EVERYTHING, other) == {
        "network.resample_filter": ([1, 3, 3, 1], "(absent)"),
        "network.w_dim": ("(absent)", 4),
        "data.resolution": ([64, 96], [64, 64]),
        "seed": (5, 6),
        "g_regularizers.path_length.interval": (4, "(absent)"),
        "g_regularizers.path_length.weight": (2.0, "(absent)"),
        "g_regularizers": ("(absent)", {}),
    }


def test_tuples_and_lists_do_not_differ():
    """A recipe's tuple comes back from JSON as a list."""
    again = configs.from_json(configs.to_json(EVERYTHING))
    listed = dataclasses.replace(EVERYTHING, network={**NETWORK, "resample_filter": [1, 3, 3, 1]})
    assert configs.differences(again, listed) == {}


def test_every_field_has_a_description():
    """`train.py --help` shows them; an attribute docstring is a string expression after the field."""
    import ast
    import inspect

    for node in ast.parse(inspect.getsource(configs)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign):
                    described = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
                    assert described, f"{node.name}.{field.target.id}"
