"""LeCam: sequences of logits through the regularizer, against the official code."""

import functools

import goldens
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import Case

from flaxgan.losses import adversarial, regularizers
from flaxgan.losses.stateful import initial_state

suite = goldens.Suite(__name__, float32=2e-5, float64=1e-6)

INPUTS = ["D_real", "D_fake"]


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


def _logits(case: Case) -> list[tuple[jax.Array, jax.Array]]:
    """(real [N], fake [N]) of each step."""
    pairs = zip(*(case.input(name)[..., 0] for name in INPUTS), strict=True)
    return [(jnp.asarray(real), jnp.asarray(fake)) for real, fake in pairs]


def _initial(case: Case, value: float) -> dict[str, jax.Array]:
    state = {**initial_state(regularizers.lecam), "lecam_real": value, "lecam_fake": value}
    return {name: jnp.asarray(number, case.dtype) for name, number in state.items()}


def _differentiated(logits, step: int, state: dict, **settings):
    """The mean penalty of a step, the new state, and the gradients [N, 1] with respect to both kinds of logits."""

    def mean(real, fake):
        penalty, new = regularizers.lecam(real, fake, jnp.int32(step), **state, **settings)
        return jnp.mean(penalty), new

    (value, state), gradients = jax.value_and_grad(mean, argnums=(0, 1), has_aux=True)(*logits)
    return value, state, [gradient[:, None] for gradient in gradients]


@suite.kind("lecam_torch*", inputs=INPUTS, notes=["loss"])
def _torch(case: Case) -> None:
    """The PyTorch code: averages without decay before a step, the penalty in the loss after it."""
    start, settings = case.option("start_itr"), {"weight": case.option("LC"), "decay": case.option("decay")}
    hinge = lambda real, fake: jnp.mean(adversarial.hinge(real, fake)[0])
    state, found = _initial(case, case.option("init")), []
    for step, logits in enumerate(_logits(case)):
        # The reference computes the penalty at every step. So does this one, which acts from the first step.
        always = {"weight": 1.0, "decay": settings["decay"] if step >= start else 0.0, "start_step": -1}
        reg, _, reg_gradients = _differentiated(logits, step, state, **always)
        value, state, gradients = _differentiated(logits, step, state, **settings, start_step=start)
        losses, hinge_gradients = jax.value_and_grad(hinge, argnums=(0, 1))(*logits)
        far = jnp.full_like(logits[0], 5.0)  # Beyond the margin, where that side of the loss is 0.
        found.append(
            {
                "ema_real": state["lecam_real"],
                "ema_fake": state["lecam_fake"],
                "reg": reg,
                "reg_grad_real": reg_gradients[0],
                "reg_grad_fake": reg_gradients[1],
                "applied": int(value != 0),
                "hinge_real": hinge(logits[0], -far),
                "hinge_fake": hinge(far, logits[1]),
                "loss": losses + value,
                "grad_real": hinge_gradients[0][:, None] + gradients[0],
                "grad_fake": hinge_gradients[1][:, None] + gradients[1],
            }
        )
    for name in found[0]:
        case.compare(name, np.stack([np.asarray(of_step[name]) for of_step in found]))


@suite.kind("lecam_tf*", inputs=INPUTS, notes=["kind"])
def _tensorflow(case: Case) -> None:
    """The TensorFlow code: averages corrected for their bias, from the first step."""
    case.check("the averages are corrected", case.option("zero_debias") is True)
    step_of = functools.partial(_differentiated, weight=1.0, decay=case.option("decay"), start_step=None)
    state, found = _initial(case, 0.0), []
    for step, logits in enumerate(_logits(case)):
        reg, state, gradients = step_of(logits, step, state)
        averages = {"ema_real": state["lecam_real"], "ema_fake": state["lecam_fake"]}
        found.append({**averages, "reg": reg, "grad_real": gradients[0], "grad_fake": gradients[1]})
    for name in found[0]:
        case.compare(name, np.stack([np.asarray(of_step[name]) for of_step in found]))
