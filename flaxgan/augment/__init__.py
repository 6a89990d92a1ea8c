"""Adaptive discriminator augmentation: random draws, the augmentation pipe, and the controller of its probability."""

from flaxgan.augment.draws import Draw as Draw
from flaxgan.augment.draws import Draws as Draws
from flaxgan.augment.draws import draw as draw
from flaxgan.augment.draws import percentile_draws as percentile_draws
from flaxgan.augment.pipe import augment as augment
from flaxgan.augment.spec import AugmentSpec as AugmentSpec
from flaxgan.augment.spec import preset as preset
