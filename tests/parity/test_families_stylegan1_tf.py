"""StyleGAN against families/stylegan1_tf.npz, numbers of the official TensorFlow code."""

import growing_kinds
import growing_states as states
import jax
import jax.numpy as jnp
import pytest
from goldens import Case, Suite, run_as_program

from flaxgan.networks import stylegan

suite = Suite(__name__, float32=2e-4, float64=1e-6)

FUSED_PX = 128  # The official code fuses enlarging and convolution from here on.


@pytest.mark.parametrize("case_id", suite.case_ids(), ids=str)
def test_golden(case_id, record_property):
    suite.run(case_id, record_property)


@suite.kind("*", inputs=growing_kinds.INPUTS, notes=["layout"])
def run_networks(case: Case):
    options, labels, z, ws = case.option("cfg"), case.input("labels"), case.input("z"), case.input("w")
    resolution, num_classes = options["res"], labels.shape[1]
    case.check("the batch and the classes are the options'", (len(z), num_classes) == (options["N"], options["label"]))
    gan = stylegan.build(
        image_shape=(resolution, resolution, options["ch"]),
        num_classes=num_classes,
        z_dim=options["zdim"],
        w_dim=options["wdim"],
        mapping_layers=options["mapl"],
        layer_features=options["mapf"],
        channel_base=2 * options["fmap_base"],
        channel_max=options["fmap_max"],
        mbstd_group_size=max(options["G"], 1),
        mbstd_num_channels=int(options["G"] > 1),
        noise_mode="const",
    )
    parts = {"M": {}, "S": {}, "D": {}}
    for name, array in case.inputs("sd/").items():
        part, _, rest = name.partition("/")
        if rest != "lod":  # Which lod the reference was built for.
            parts[part][rest] = array
    synthesis, noise = states.tf_synthesis(parts["S"], resolution, fused_px=FUSED_PX)
    g_params = {"mapping": states.tf_mapping(parts["M"]), "synthesis": synthesis}
    buffers = {"mapping": {"w_avg": jnp.zeros(options["wdim"])}, "synthesis": noise}
    d_params = states.tf_discriminator(parts["D"], resolution)
    given = labels if num_classes else None
    images = jnp.zeros((len(z), *gan.image_shape))
    states.require_variables({"params": g_params, "buffers": buffers}, gan.generator, z, given)
    states.require_variables({"params": d_params}, gan.discriminator, images, given)
    case.compare_option("n_trainable_G", sum(leaf.size for leaf in jax.tree.leaves(g_params)))
    case.compare_option("n_trainable_D", sum(leaf.size for leaf in jax.tree.leaves(d_params)))

    variables = {"params": g_params, "buffers": buffers}
    styles = run_as_program(lambda z: gan.generator.apply(variables, z, given, method="map"), z)
    case.compare("mapping_out", styles[:, 0])
    synthesize = lambda ws, **growth: gan.generator.apply(variables, ws, method="synthesize", **growth)
    discriminate = lambda x, **growth: gan.discriminator.apply({"params": d_params}, x, given, **growth)
    levels = growing_kinds.levels(case, resolution)
    growing_kinds.compare_levels(case, levels, synthesize, ("w", ws), discriminate)
