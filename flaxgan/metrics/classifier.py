"""A small image classifier for judging generated images, trained in seconds."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from flaxgan.errors import FieldError, Words
from flaxgan.ops.image import to_float
from flaxgan.prng import purpose_key

_FEATURE_DIM = 64
_BATCH_SIZE = 64
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1e-2
_SHIFT_PX = 1


class ClassifierNetwork(nn.Module):
    """Stride-2 convolutions down to about 4x4 pixels, then a hidden layer whose activations are the features.

    Attributes:
      num_classes: width of the logits.
      feature_dim: width of the hidden layer.
    """

    num_classes: int
    feature_dim: int = _FEATURE_DIM

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Classifies images.

        Args:
          images: float32 [N, H, W, C] in [-1, 1].

        Returns:
          (logits float32 [N, K], features float32 [N, F], at least 0).
        """
        x = nn.relu(nn.Conv(32, (3, 3))(images))
        while min(x.shape[1:3]) > 4:
            x = nn.relu(nn.Conv(64, (3, 3), strides=(2, 2))(x))  # [N, H / 2, W / 2, 64]
        features = nn.relu(nn.Dense(self.feature_dim)(x.reshape(len(x), -1)))
        return nn.Dense(self.num_classes)(features), features


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """A trained classifier.

    Attributes:
      params: the parameters of the network, a plain tree of arrays.
      num_classes: number of classes K.
      image_shape: (H, W, C) of its input images.
      held_out_accuracy: its accuracy on held-out labelled images, in [0, 1].
      feature_dim: width F of the features.
    """

    params: Mapping
    num_classes: int
    image_shape: tuple[int, int, int]
    held_out_accuracy: float
    feature_dim: int = _FEATURE_DIM

    def features(self, images: np.ndarray) -> np.ndarray:
        """Returns the penultimate activations after the ReLU, float64 [N, F], for images uint8 [N, H, W, C]."""
        return self._apply(images)[1].astype(np.float64)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Returns the most likely classes, int32 [N], for images uint8 [N, H, W, C]."""
        return self._apply(images)[0].argmax(axis=1).astype(np.int32)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns the probabilities of the classes, float64 [N, K], for images uint8 [N, H, W, C]."""
        logits = self._apply(images)[0].astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def _apply(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape or len(images) == 0:
            found = Words(f"{images.dtype} {list(images.shape)}")
            raise FieldError("images", found, f"uint8 [N, *{list(self.image_shape)}] with N of at least 1")
        return _apply_in_batches(ClassifierNetwork(self.num_classes, self.feature_dim), self.params, images)


def train_classifier(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    num_classes: int,
    seed: int,
    held_out_share: float = 0.2,
    num_steps: int = 600,
) -> Classifier:
    """Trains a classifier on labelled images; deterministic for the same arguments on the same machine.

    The optimizer is Adam with decoupled weight decay and a cosine schedule. Training images are shifted at random by up
    to one pixel.

    Args:
      images: uint8 [M, H, W, C].
      labels: class indices, int [M] in [0, num_classes).
      num_classes: number of classes K, at least 2.
      seed: seed of the split, the initialization and the order of the images.
      held_out_share: share of the images of each class that is held out to measure the accuracy; at least one image of
        each class is used for training.
      num_steps: number of training steps of 64 images. With 600, the accuracy on the 1,797 digits of scikit-learn is
        above 99 % after about seven seconds on two CPU cores.

    Returns:
      The classifier, with its accuracy on the held-out images.

    Raises:
      FieldError: on shapes, types, labels or a share that are not allowed.
    """
    images, labels = _checked_set(images, labels, num_classes)
    if num_steps < 1:
        raise FieldError("num_steps", num_steps, "at least 1")
    held_out = _held_out(labels, share=held_out_share, seed=seed)
    network = ClassifierNetwork(num_classes)
    params = _fit(network, images[~held_out], labels[~held_out], seed=seed, num_steps=num_steps)
    logits, _ = _apply_in_batches(network, params, images[held_out])
    accuracy = float(np.mean(logits.argmax(axis=1) == labels[held_out]))
    return Classifier(params, num_classes, images.shape[1:], accuracy)


def _checked_set(images: np.ndarray, labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        raise FieldError("images", Words(f"{images.dtype} {list(images.shape)}"), "uint8 [M, H, W, C], not empty")
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise FieldError("labels", Words(f"{labels.dtype} {list(labels.shape)}"), f"class indices [{len(images)}]")
    if num_classes < 2:
        raise FieldError("num_classes", num_classes, "at least 2")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise FieldError("labels", Words(f"{labels.min()} to {labels.max()}"), f"0 to {num_classes - 1}")
    return images, labels.astype(np.int32)


def _held_out(labels: np.ndarray, *, share: float, seed: int) -> np.ndarray:
    """Returns a mask, bool [M], of the images to hold out: the rounded share of each class, drawn at random."""
    if not 0 < share < 1:
        raise FieldError("held_out_share", share, "between 0 and 1")
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out[members[: min(round(share * len(members)), len(members) - 1)]] = True
    if not held_out.any():
        raise FieldError("labels", Words(f"{len(labels)} images, too few to hold out {share}"), "more per class")
    return held_out


def _fit(network: ClassifierNetwork, images: np.ndarray, labels: np.ndarray, *, seed: int, num_steps: int) -> Mapping:
    """Trains the network and returns its parameters."""
    optimizer = optax.adamw(optax.cosine_decay_schedule(_LEARNING_RATE, num_steps), weight_decay=_WEIGHT_DECAY)
    # Jitted, because an eager initialization compiles each small operation separately and takes seconds.
    params = jax.jit(network.init)(purpose_key(seed, "classifier_init"), to_float(jnp.asarray(images[:1])))["params"]
    opt_state = jax.jit(optimizer.init)(params)
    step = jax.jit(functools.partial(_train_step, network, optimizer), donate_argnums=(0, 1))
    rng = np.random.default_rng(seed)
    padding = ((0, 0), (_SHIFT_PX, _SHIFT_PX), (_SHIFT_PX, _SHIFT_PX), (0, 0))
    padded = np.pad(images, padding, mode="edge")
    for batch in _batches(len(images), num_steps, rng):
        shifted = _random_crops(padded[batch], images.shape[1:3], rng)
        params, opt_state = step(params, opt_state, shifted, labels[batch])
    return params


def _batches(count: int, num_batches: int, rng: np.random.Generator) -> np.ndarray:
    """Returns indices into `count` images, [num_batches, 64], from passes that are each shuffled."""
    needed = num_batches * _BATCH_SIZE
    passes = [rng.permutation(count) for _ in range(-(-needed // count))]
    return np.concatenate(passes)[:needed].reshape(num_batches, _BATCH_SIZE)


def _random_crops(images: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Crops a window of `size` at a random position from each image."""
    height, width = size
    tops = rng.integers(images.shape[1] - height + 1, size=len(images))
    lefts = rng.integers(images.shape[2] - width + 1, size=len(images))
    windows = [image[y : y + height, x : x + width] for image, y, x in zip(images, tops, lefts)]
    return np.stack(windows)


def _train_step(
    network: ClassifierNetwork,
    optimizer: optax.GradientTransformation,
    params: Mapping,
    opt_state: optax.OptState,
    images: jax.Array,
    labels: jax.Array,
) -> tuple[Mapping, optax.OptState]:
    def loss(params: Mapping) -> jax.Array:
        logits, _ = _forward(network, params, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def _forward(network: ClassifierNetwork, params: Mapping, images: jax.Array) -> Any:
    """Returns the logits and features of images uint8 [N, H, W, C]."""
    return network.apply({"params": params}, to_float(images))


_apply_batch = jax.jit(_forward, static_argnums=0)


def _apply_in_batches(network: ClassifierNetwork, params: Mapping, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits float32 [N, K] and features float32 [N, F], in batches of one shape, the last one padded."""
    outputs = []
    for start in range(0, len(images), _BATCH_SIZE):
        batch = images[start : start + _BATCH_SIZE]
        padding = np.zeros((_BATCH_SIZE - len(batch), *batch.shape[1:]), np.uint8)
        outputs.append(_apply_batch(network, params, np.concatenate([batch, padding])))
    logits, features = (np.concatenate(parts)[: len(images)] for parts in zip(*jax.device_get(outputs)))
    return logits, features
