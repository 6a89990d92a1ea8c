"""Resampling and convolution in float64 NumPy, pixel by pixel, in the order of their definitions."""

import numpy as np


def pair(factor) -> tuple[int, int]:
    """(x, y) of a factor."""
    return (factor, factor) if isinstance(factor, int) else tuple(factor)


def sides(padding) -> tuple[int, int, int, int]:
    """(x0, x1, y0, y1) of a padding."""
    if isinstance(padding, int):
        return (padding,) * 4
    return (padding[0], padding[0], padding[1], padding[1]) if len(padding) == 2 else tuple(padding)


def add(padding, extra) -> tuple[int, int, int, int]:
    """The sum of two paddings."""
    return tuple(one + other for one, other in zip(sides(padding), extra, strict=True))


def filter_2d(f) -> np.ndarray:
    """A filter as [fh, fw]."""
    f = np.ones((1, 1)) if f is None else np.asarray(f, np.float64)
    return np.outer(f, f) if f.ndim == 1 else f


def upfirdn2d(x, f, *, up=1, down=1, padding=0, flip_filter=False, gain=1.0) -> np.ndarray:
    """Zeros after every pixel, padding, filter at every place, every down-th pixel."""
    (up_x, up_y), (down_x, down_y), (x0, x1, y0, y1) = pair(up), pair(down), sides(padding)
    f = filter_2d(f) * gain
    f = f if flip_filter else f[::-1, ::-1]
    batch, height, width, channels = x.shape
    enlarged = np.zeros((batch, height * up_y, width * up_x, channels))
    enlarged[:, ::up_y, ::up_x] = x
    padded = pad(enlarged, (x0, x1, y0, y1))
    rows = range(0, padded.shape[1] - f.shape[0] + 1, down_y)
    columns = range(0, padded.shape[2] - f.shape[1] + 1, down_x)
    y = np.zeros((batch, len(rows), len(columns), channels))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = padded[:, row : row + f.shape[0], column : column + f.shape[1]]
            y[:, i, j] = np.einsum("nhwc,hw->nc", window, f)
    return y


def pad(x, padding) -> np.ndarray:
    """Zeros around an image, one row or column at a time; negative crops."""
    x0, x1, y0, y1 = padding
    batch, height, width, channels = x.shape
    y = np.zeros((batch, height + y0 + y1, width + x0 + x1, channels))
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            if 0 <= row - y0 < height and 0 <= column - x0 < width:
                y[:, row, column] = x[:, row - y0, column - x0]
    return y


def upsample_padding(f, up) -> tuple[int, int, int, int]:
    """(x0, x1, y0, y1) that upsample2d adds."""
    (fh, fw), (up_x, up_y) = filter_2d(f).shape, pair(up)
    return ((fw + up_x - 1) // 2, (fw - up_x) // 2, (fh + up_y - 1) // 2, (fh - up_y) // 2)


def downsample_padding(f, down) -> tuple[int, int, int, int]:
    """(x0, x1, y0, y1) that downsample2d adds."""
    (fh, fw), (down_x, down_y) = filter_2d(f).shape, pair(down)
    return ((fw - down_x + 1) // 2, (fw - down_x) // 2, (fh - down_y + 1) // 2, (fh - down_y) // 2)


def conv2d(x, w, *, padding=0, groups=1) -> np.ndarray:
    """Correlation, one window at a time."""
    x = pad(x, sides(padding))
    height, width, group_in, channels_out = w.shape
    group_out = channels_out // groups
    y = np.zeros((x.shape[0], x.shape[1] - height + 1, x.shape[2] - width + 1, channels_out))
    for row in range(y.shape[1]):
        for column in range(y.shape[2]):
            window = x[:, row : row + height, column : column + width]
            for group in range(groups):
                outputs = slice(group * group_out, (group + 1) * group_out)
                inputs = window[..., group * group_in : (group + 1) * group_in]
                y[:, row, column, outputs] = np.einsum("nhwi,hwio->no", inputs, w[..., outputs])
    return y


def conv2d_resample(
    x, w, f=None, *, up=1, down=1, padding=0, groups=1, flip_weight=True, flip_filter=False
) -> np.ndarray:
    """Upsampling, convolution, downsampling."""
    if up > 1:
        padding = add(padding, upsample_padding(f, up))
    if down > 1:
        padding = add(padding, downsample_padding(f, down))
    first = f if up > 1 else None
    x = upfirdn2d(x, first, up=up, padding=padding, flip_filter=flip_filter, gain=up**2)
    x = conv2d(x, w if flip_weight else w[::-1, ::-1], groups=groups)
    return upfirdn2d(x, f if down > 1 else None, down=down, flip_filter=flip_filter)


def random_padding(rng, low: int, high: int):
    """A padding in one of its spellings."""
    values = [int(value) for value in rng.integers(low, high + 1, 4)]
    return [values[0], tuple(values[:2]), tuple(values)][rng.integers(3)]


def random_filter(rng, *, most_taps: int = 5):
    """None, taps for both axes, a separable filter or any filter, of odd or even sizes."""
    kind = rng.integers(5)
    if kind == 0:
        return None
    if kind == 1:
        return rng.normal(size=rng.integers(1, 13))
    height, width = rng.integers(1, most_taps + 1, 2)
    return rng.normal(size=(height, width)) if kind == 2 else np.outer(rng.normal(size=height), rng.normal(size=width))
