"""Warping of one image by the definition, in NumPy loops and float64."""

import math

import numpy as np

from flaxgan.augment.warp import LOWPASS


def warp(image: np.ndarray, to_input: np.ndarray) -> np.ndarray:
    """Reflects [H, W, C] as far as its corners reach, upsamples, samples bilinearly, downsamples."""
    height, width = image.shape[:2]
    cx, cy = (width - 1) / 2, (height - 1) / 2
    corners = to_input @ np.array([[-cx, cx, cx, -cx], [-cy, -cy, cy, cy], [1, 1, 1, 1]])
    reach = [(-corners[0]).max() - cx, corners[0].max() - cx, (-corners[1]).max() - cy, corners[1].max() - cy]
    limits = [width - 1, width - 1, height - 1, height - 1]
    x0, x1, y0, y1 = (math.ceil(min(max(r + 6, 0), limit)) for r, limit in zip(reach, limits))
    padded = np.pad(image.astype(np.float64), ((y0, y1), (x0, x1), (0, 0)), mode="reflect")
    large = _upsample(_upsample(padded, 0), 1)
    samples = np.zeros((2 * height + 12, 2 * width + 12, image.shape[2]))
    for row in range(samples.shape[0]):
        for column in range(samples.shape[1]):
            # Samples and pixels sit in the middle of cells; the upsampled grid is centred as the filter leaves it.
            u, v = (column - width - 5) / 2, (row - height - 5) / 2
            x, y, _ = to_input @ np.array([u, v, 1])
            samples[row, column] = _bilinear(large, 2 * (x + cx + x0), 2 * (y + cy + y0))
    return _downsample(_downsample(samples, 0), 1)


def _upsample(x: np.ndarray, axis: int) -> np.ndarray:
    def along(signal):
        spread = np.zeros(2 * len(signal))
        spread[::2] = signal
        return np.convolve(np.pad(spread, (6, 5)), 2 * np.asarray(LOWPASS), mode="valid")

    return np.apply_along_axis(along, axis, x)


def _downsample(x: np.ndarray, axis: int) -> np.ndarray:
    return np.apply_along_axis(lambda signal: np.correlate(signal[1:-1], LOWPASS, mode="valid")[::2], axis, x)


def _bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    total = np.zeros(image.shape[2])
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                total += (1 - abs(x - column)) * (1 - abs(y - row)) * image[row, column]
    return total
