"""What tests of the growing networks share: cheap random variables, and programs that compile fast."""

import functools

import jax
import numpy as np
from derivatives import program


def filled(module, *inputs, **keywords):
    """Variables of a module that are random, nowhere zero in expectation, and cost no compilation."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(functools.partial(module.init, **keywords), jax.random.key(0), *inputs)
    return jax.tree.map(lambda leaf: (0.1 + 0.5 * rng.standard_normal(leaf.shape)).astype(np.float32), shapes)


def run(module, variables, *inputs, **keywords):
    """module.apply as a fast-compiled program; inputs are traced, keywords are not."""
    return program(functools.partial(module.apply, **keywords))(variables, *inputs)


def only(variables, *names):
    """Variables of these submodules alone."""
    return {kind: {name: tree[name] for name in names if name in tree} for kind, tree in variables.items()}
