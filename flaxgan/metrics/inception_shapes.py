"""The names and shapes of the weights of `flaxgan.metrics.inception` in its files."""

from flaxgan.metrics.inception import FEATURE_DIM, NUM_LOGITS

_Kernel = tuple[int, int, int, int]  # input channels, output channels, height, width


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Returns state_dict name -> shape in PyTorch's layout: kernels [O, I, H, W], fc [1008, 2048]."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (inputs, outputs, height, width) in _convolutions().items():
        shapes[f"{name}.conv.weight"] = (outputs, inputs, height, width)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{leaf}"] = (outputs,)
    return shapes | {"fc.weight": (NUM_LOGITS, FEATURE_DIM), "fc.bias": (NUM_LOGITS,)}


def _convolutions() -> dict[str, _Kernel]:
    blocks = {
        "Mixed_5b": _block_a(192, pooled=32),
        "Mixed_5c": _block_a(256, pooled=64),
        "Mixed_5d": _block_a(288, pooled=64),
        "Mixed_6a": _block_b(288),
        "Mixed_6b": _block_c(768, width=128),
        "Mixed_6c": _block_c(768, width=160),
        "Mixed_6d": _block_c(768, width=160),
        "Mixed_6e": _block_c(768, width=192),
        "Mixed_7a": _block_d(768),
        "Mixed_7b": _block_e(1280),
        "Mixed_7c": _block_e(2048),
    }
    stem = {
        "Conv2d_1a_3x3": (3, 32, 3, 3),
        "Conv2d_2a_3x3": (32, 32, 3, 3),
        "Conv2d_2b_3x3": (32, 64, 3, 3),
        "Conv2d_3b_1x1": (64, 80, 1, 1),
        "Conv2d_4a_3x3": (80, 192, 3, 3),
    }
    mixed = {f"{block}.{name}": kernel for block, kernels in blocks.items() for name, kernel in kernels.items()}
    return stem | mixed


def _block_a(inputs: int, *, pooled: int) -> dict[str, _Kernel]:
    return {
        "branch1x1": (inputs, 64, 1, 1),
        "branch5x5_1": (inputs, 48, 1, 1),
        "branch5x5_2": (48, 64, 5, 5),
        "branch3x3dbl_1": (inputs, 64, 1, 1),
        "branch3x3dbl_2": (64, 96, 3, 3),
        "branch3x3dbl_3": (96, 96, 3, 3),
        "branch_pool": (inputs, pooled, 1, 1),
    }


def _block_b(inputs: int) -> dict[str, _Kernel]:
    return {
        "branch3x3": (inputs, 384, 3, 3),
        "branch3x3dbl_1": (inputs, 64, 1, 1),
        "branch3x3dbl_2": (64, 96, 3, 3),
        "branch3x3dbl_3": (96, 96, 3, 3),
    }


def _block_c(inputs: int, *, width: int) -> dict[str, _Kernel]:
    return {
        "branch1x1": (inputs, 192, 1, 1),
        "branch7x7_1": (inputs, width, 1, 1),
        "branch7x7_2": (width, width, 1, 7),
        "branch7x7_3": (width, 192, 7, 1),
        "branch7x7dbl_1": (inputs, width, 1, 1),
        "branch7x7dbl_2": (width, width, 7, 1),
        "branch7x7dbl_3": (width, width, 1, 7),
        "branch7x7dbl_4": (width, width, 7, 1),
        "branch7x7dbl_5": (width, 192, 1, 7),
        "branch_pool": (inputs, 192, 1, 1),
    }


def _block_d(inputs: int) -> dict[str, _Kernel]:
    return {
        "branch3x3_1": (inputs, 192, 1, 1),
        "branch3x3_2": (192, 320, 3, 3),
        "branch7x7x3_1": (inputs, 192, 1, 1),
        "branch7x7x3_2": (192, 192, 1, 7),
        "branch7x7x3_3": (192, 192, 7, 1),
        "branch7x7x3_4": (192, 192, 3, 3),
    }


def _block_e(inputs: int) -> dict[str, _Kernel]:
    return {
        "branch1x1": (inputs, 320, 1, 1),
        "branch3x3_1": (inputs, 384, 1, 1),
        "branch3x3_2a": (384, 384, 1, 3),
        "branch3x3_2b": (384, 384, 3, 1),
        "branch3x3dbl_1": (inputs, 448, 1, 1),
        "branch3x3dbl_2": (448, 384, 3, 3),
        "branch3x3dbl_3a": (384, 384, 1, 3),
        "branch3x3dbl_3b": (384, 384, 3, 1),
        "branch_pool": (inputs, 192, 1, 1),
    }
