import types

import chex
import jax.numpy as jnp
import numpy as np
import pytest
import small_gans
from etils import epath
from PIL import Image

from flaxgan import latent_prior
from flaxgan.train.distributed import device_mesh
from flaxgan.train.evaluation import samples
from flaxgan.train.step import random_inputs
from flaxgan.train.step.state import Average
from flaxgan.types import Gan


def _images(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def test_large_images_touch_in_rows():
    images = _images(6, (64, 96, 3))
    picture = samples.grid(images, 3)
    assert picture.shape == (128, 288, 3)
    for index, image in enumerate(images):
        row, column = divmod(index, 3)
        np.testing.assert_array_equal(picture[64 * row :, 96 * column :][:64, :96], image)


def test_small_images_are_enlarged_and_set_apart():
    images = _images(4, (8, 16, 1))
    picture = samples.grid(images, 2)
    zoom, gap = 4, 2
    height, width = 8 * zoom + 2 * gap, 16 * zoom + 2 * gap
    assert picture.shape == (2 * height, 2 * width, 1)
    cell = picture[height:, width:]  # The last image.
    np.testing.assert_array_equal(cell[gap:-gap:zoom, gap:-gap:zoom], images[3])
    np.testing.assert_array_equal(cell[gap + zoom - 1 : -gap : zoom, gap + zoom - 1 : -gap : zoom], images[3])
    assert np.all(cell[:gap] == 128) and np.all(cell[:, -gap:] == 128)


@pytest.mark.parametrize(
    "image_shape, num_classes, expected",
    [
        ((16, 16, 1), 10, (10, 10)),
        ((1024, 1024, 3), 0, (4, 4)),
        ((256, 256, 3), 0, (4, 7)),
        ((64, 96, 3), 0, (10, 20)),
        ((32, 32, 3), 1000, (10, 30)),
        ((512, 512, 3), 1, (4, 4)),
    ],
)
def test_grid_has_a_column_for_each_class_or_the_size_of_a_screen(image_shape, num_classes, expected):
    assert samples.grid_shape(image_shape, num_classes) == expected


def _gan(num_classes: int) -> Gan:
    gan = small_gans.gan()
    return Gan(gan.generator, gan.discriminator, 5, gan.image_shape, num_classes)


def test_latents_of_the_grid_are_fixed_and_its_columns_are_classes():
    z, labels = samples.grid_latents(_gan(10), 3, 4, 10)
    again, _ = samples.grid_latents(_gan(10), 3, 4, 10)
    other, _ = samples.grid_latents(_gan(10), 4, 4, 10)
    np.testing.assert_array_equal(z, again)
    assert z.shape == (40, 5) and not np.array_equal(z, other)
    np.testing.assert_array_equal(labels.reshape(4, 10), np.broadcast_to(np.arange(10), (4, 10)))
    assert labels.dtype == np.int32
    assert not samples.grid_latents(_gan(0), 3, 4, 10)[1].any()


def test_latents_of_metrics_are_fixed_and_their_labels_follow_the_sampler():
    sampler = random_inputs.label_sampler([1, 0, 3])
    z, labels = samples.metric_latents(_gan(3), 3, 1000, labels=sampler)
    again, same = samples.metric_latents(_gan(3), 3, 1000, labels=sampler)
    np.testing.assert_array_equal(z, again)
    np.testing.assert_array_equal(labels, same)
    shares = np.bincount(labels, minlength=3) / 1000
    np.testing.assert_allclose(shares, [0.25, 0, 0.75], atol=4 * np.sqrt(0.25 * 0.75 / 1000))
    assert not np.array_equal(z[:10], samples.grid_latents(_gan(3), 3, 2, 5)[0])


def test_latents_of_grids_and_metrics_have_the_prior_of_the_run():
    prior = latent_prior.named("uniform", 0.5)
    grid, _ = samples.grid_latents(_gan(0), 3, 20, 10, prior=prior)
    measured, _ = samples.metric_latents(_gan(0), 3, 200, labels=random_inputs.label_sampler(None), prior=prior)
    for z in (grid, measured):
        assert 0.48 < np.abs(z).max() <= 0.5


def test_images_do_not_depend_on_the_batch_size():
    setup = small_gans.setup_of(style=False)
    state = small_gans.init(setup)
    sample = samples.sampler(setup.gan, device_mesh.data_mesh())
    z, labels = samples.grid_latents(setup.gan, 0, 1, 7)
    whole = samples.generate(sample, state.ema, z, labels, batch_size=7)
    assert whole.shape == (7, *small_gans.IMAGE_SHAPE) and whole.dtype == np.uint8 and whole.std() > 1
    np.testing.assert_array_equal(samples.generate(sample, state.ema, z, labels, batch_size=3), whole)
    direct = setup.gan.generator.apply({"params": state.ema.params, **state.ema.variables}, z)
    np.testing.assert_array_equal(whole, np.clip(np.rint(np.asarray(direct) * 127.5 + 127.5), 0, 255).astype(np.uint8))


def test_a_sampler_is_traced_once_for_any_number_of_latents_and_any_average():
    """What is counted are calls with tracers of the generator inside the sampler."""
    make = lambda variables, z, labels, **options: jnp.broadcast_to(z[:, :1, None, None], (len(z), 4, 4, 1))
    generator = types.SimpleNamespace(apply=chex.assert_max_traces(make, n=1))
    gan = Gan(generator, small_gans.SmallDiscriminator(), 5, small_gans.IMAGE_SHAPE, 0)
    sample = samples.sampler(gan, device_mesh.data_mesh())
    for number, count in enumerate((7, 4, 1)):
        z, labels = samples.metric_latents(gan, number, count, labels=random_inputs.label_sampler(None))
        images = samples.generate(sample, Average({"w": np.float32(number)}, {}), z, labels, batch_size=4, alpha=0.5)
        assert images.shape == (count, 4, 4, 1)
    with pytest.raises(AssertionError, match="traced > 1 times"):
        samples.generate(sample, Average({"w": np.float32(0)}, {}), z, labels, batch_size=2)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGBA"), (5, "RGB")])
def test_pictures_of_any_number_of_channels(channels, mode, tmp_path):
    image = _images(1, (4, 6, channels))[0]
    path = epath.Path(tmp_path / "a.png")
    samples.save_picture(path, image)
    with Image.open(path) as picture:
        assert (picture.mode, picture.size) == (mode, (6, 4))
        shown = np.asarray(picture).reshape(4, 6, -1)
    np.testing.assert_array_equal(shown, image[..., : shown.shape[2]])
