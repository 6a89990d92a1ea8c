import types

import pytest

from flaxgan import lookup, losses, networks
from flaxgan.losses import adversarial, regularizers


def test_function_of_a_module():
    assert lookup.function(adversarial, "non_saturating") is adversarial.non_saturating


def test_module_of_a_package():
    from flaxgan.networks import stylegan2

    assert lookup.module(networks, "stylegan2") is stylegan2


@pytest.mark.parametrize("name", ["non_saturatin", "jax", "", "__doc__", "non_saturating.__call__"])
def test_other_names_than_public_functions_are_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=r"flaxgan.losses.adversarial has no function .*; allowed: .*non_saturating"):
        lookup.function(adversarial, name)


def test_functions_imported_into_a_module_are_not_its_own():
    assert hasattr(regularizers, "input_gradient_penalty")
    with pytest.raises(ValueError, match="has no function 'input_gradient_penalty'; allowed: .*path_length, .*r1"):
        lookup.function(regularizers, "input_gradient_penalty")


@pytest.mark.parametrize("name", ["style_gan", "_checks", "", "stylegan2.Generator", "os"])
def test_other_names_than_public_modules_are_refused_with_those_there_are(name):
    with pytest.raises(ValueError, match=r"flaxgan.networks has no module .*; allowed: .*stylegan2"):
        lookup.module(networks, name)


def test_names_are_sorted_and_public():
    owner = types.ModuleType("owner")
    for name in ("b", "a", "_c"):
        function = types.FunctionType((lambda: None).__code__, {"__name__": "owner"}, name)
        setattr(owner, name, function)
    owner.imported, owner.constant = lookup.function, 3
    assert lookup.function_names(owner) == ["a", "b"]
    assert lookup.module_names(losses) == sorted(lookup.module_names(losses))
