"""One call of a layer in training mode and one in evaluation mode, compared with all that the goldens say of them."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from goldens import Case, run_as_program

from flaxgan.nn.layers import SpectralNorm
from flaxgan.ops.spectral_norm import spectral_sigma

AJBROCK = SpectralNorm(eps=1e-6, eval_iterates=True)
STUDIOGAN = SpectralNorm(eps=1e-6)
SMALL = 1e-3  # Differences are measured against a magnitude of at least this.
ZERO = 1e-9  # What is left of zeros in float64 is smaller than this.

State = Mapping[str, jax.Array]
# (the reference's state_dict, inputs, train) -> (output, what the call changed of the state_dict), in its layouts.
Call = Callable[[State, State, bool], tuple[jax.Array, State]]


def compare_calls(
    case: Case,
    call: Call,
    inputs: Mapping[str, np.ndarray],
    cot: np.ndarray,
    *,
    beside: tuple[str, ...] = (),
    scale_of_zeros: float = SMALL,
    of_gradients: Mapping[str, float] | None = None,
) -> None:
    """Compares outputs, changed state, and gradients of sum(output * cot) by inputs and parameters, in both modes.

    Args:
      case: the case; the keys that begin with sd/ are the state.
      call: our layer. Because its layouts are the reference's, so are those of its gradients.
      inputs: by the name that the keys have them under; gradients are taken of those of a float type.
      cot: the cotangent.
      beside: which of the things that the call returns as changed are no state, but further results.
      scale_of_zeros: what differences from arrays of zeros, such as the gradients of biases before a batch
        normalization, are measured against.
      of_gradients: tolerances of gradients by precision; None is the case's. In float32, a ReLU whose input is within
        rounding of zero may let through what the reference stops, or the other way round.
    """
    tolerance = case.default_tolerance if of_gradients is None else of_gradients[case.precision]
    state = case.inputs("sd/")
    norms = case.option("grad_sum_norm", {})
    trained = {name: state[name] for name in {key.partition("/")[2] for key in norms}}
    floats = {name: array for name, array in inputs.items() if np.issubdtype(array.dtype, np.floating)}

    def one_call(trained, floats, train):
        out, changed = call({**state, **trained}, {**inputs, **floats}, train)
        return jnp.sum(out * cot), (out, changed)

    def both_modes():
        gradients = jax.grad(one_call, argnums=(0, 1), has_aux=True)
        return {mode: gradients(trained, floats, mode == "train") for mode in ("train", "eval")}

    for mode, ((of_trained, of_inputs), (out, changed)) in run_as_program(both_modes).items():
        found = {f"{mode}/out": out}
        found |= {f"{mode}/grad_in/{name}": gradient for name, gradient in of_inputs.items()}
        found |= {f"{mode}/grad/{name}": gradient for name, gradient in of_trained.items()}
        for name, array in changed.items():
            found[f"{mode}/{name}" if name in beside else f"{mode}/sd_after/{name}"] = array
        for key in case.keys(f"{mode}/*"):
            scale = _scale(case.arrays[key], scale_of_zeros)
            is_gradient = key.startswith(f"{mode}/grad")
            found_array = np.reshape(found[key], case.arrays[key].shape)
            case.compare(key, found_array, scale=scale, tolerance=tolerance if is_gradient else None)
        for name, gradient in of_trained.items():
            ours, theirs = np.asarray([jnp.sum(gradient), jnp.linalg.norm(gradient)]), norms[f"{mode}/{name}"]
            key = f"grad_sum_norm/{mode}/{name}"
            error = float(np.max(np.abs(ours - theirs)) / _scale(np.asarray(theirs), scale_of_zeros))
            case.check(f"{key} (off by {error:.2g})", error <= tolerance)


def ajbrock_vectors(state: State, name: str) -> dict[str, jax.Array]:
    """ "spectral" of the layer of that name; v is not stored, but made by every call."""
    weight = state[f"{name}.weight"]
    return {"u": state[f"{name}.u0"].ravel(), "v": jnp.zeros(weight.size // weight.shape[0], weight.dtype)}


def ajbrock_changes(state: State, name: str, vectors: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """What training mode changed in the state of the layer of that name: u0, and sv0, which is sigma."""
    weight = state[f"{name}.weight"]
    sigma = spectral_sigma(weight.reshape(weight.shape[0], -1), vectors["u"], vectors["v"])
    return {f"{name}.u0": vectors["u"], f"{name}.sv0": sigma}


def _scale(array: np.ndarray, scale_of_zeros: float) -> float:
    largest = float(np.max(np.abs(array), initial=0.0))
    return scale_of_zeros if largest < ZERO else max(largest, SMALL)
