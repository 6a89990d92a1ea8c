from flax import linen as nn

from flaxgan.types import Gan


class _Styled(nn.Module):
    def map(self, z):
        return z

    def synthesize(self, ws):
        return ws


class _MapOnly(nn.Module):
    def map(self, z):
        return z


def test_style_is_a_mapping_and_a_synthesis():
    styles = [Gan(module, nn.Dense(1), 4, (8, 8, 3), 0).has_style for module in (_Styled(), _MapOnly(), nn.Dense(1))]
    assert styles == [True, False, False]
