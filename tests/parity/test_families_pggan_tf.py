"""PGGAN against families/pggan_tf.npz, numbers of the official TensorFlow code."""

import growing_kinds
import growing_states as states
import jax
import jax.numpy as jnp
import pytest
from goldens import Case, Suite

from flaxgan.networks import pggan

suite = Suite(__name__, float32=2e-4, float64=1e-6)


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*", inputs=growing_kinds.INPUTS, notes=["layout"])
def run_networks(case: Case):
    options, labels, z = case.option("cfg"), case.input("labels"), case.input("z")
    resolution, num_classes = options["res"], labels.shape[1]
    case.check("the batch and the classes are the options'", (len(z), num_classes) == (options["N"], options["label"]))
    gan = pggan.build(
        image_shape=(resolution, resolution, options["ch"]),
        num_classes=num_classes,
        z_dim=options["z"],
        channel_base=2 * options["fmap_base"],
        channel_max=options["fmap_max"],
        d_labels="classify" if num_classes else "select",
        pool_after_activation=not options["fused"],
        mbstd_group_size=max(options["G"], 1),
        mbstd_num_channels=int(options["G"] > 1),
    )
    parts = {"G": {}, "D": {}}
    for name, array in case.inputs("sd/").items():
        part, _, rest = name.partition("/")
        if rest != "lod":  # Which lod the reference was built for.
            parts[part][rest] = array
    g_params = states.tf_generator(parts["G"], resolution)
    d_params = states.tf_discriminator(parts["D"], resolution)
    given = labels if num_classes else None
    images = jnp.zeros((len(z), *gan.image_shape))
    states.require_variables({"params": g_params}, gan.generator, z, given)
    states.require_variables({"params": d_params}, gan.discriminator, images, given)
    case.compare_option("n_trainable_G", sum(leaf.size for leaf in jax.tree.leaves(g_params)))
    case.compare_option("n_trainable_D", sum(leaf.size for leaf in jax.tree.leaves(d_params)))

    generate = lambda z, **growth: gan.generator.apply({"params": g_params}, z, given, **growth)
    discriminate = lambda x, **growth: gan.discriminator.apply({"params": d_params}, x, given, **growth)
    levels = growing_kinds.levels(case, resolution)
    growing_kinds.compare_levels(case, levels, generate, ("z", z), discriminate)
