"""What the golden files of the families hold beyond the primary references of each family: the one table.

The files show how implementations differ. Each family has one primary reference, whose numbers must be met. A row here
excuses values that belong to another implementation and that no option of ours reproduces, or that only show what a
mistake would give. Everything else must be compared.
"""

import fnmatch
from typing import NamedTuple


class Beyond(NamedTuple):
    """Values that are not compared.

    Attributes:
      file: stem of the golden file.
      case: pattern of the case's name, as in a shell.
      key: pattern of the keys.
      reason: why.
    """

    file: str
    case: str
    key: str
    reason: str


TABLE: tuple[Beyond, ...] = (
    Beyond("spectral_norm", "*", "contrast/*", "the gradient that a mistake, differentiating u and v, would give"),
    Beyond("norms", "*", "*num_batches_tracked", "PyTorch's count of batches, which changes no result"),
    *(
        Beyond(
            f"training_steps_{family}", "*", f"{part}*num_batches_tracked", "PyTorch's count, which changes no result"
        )
        for family in ("dcgan", "mimicry")
        for part in ("iter", "contrast")
    ),
    Beyond(
        "training_steps_biggan", "*", "*.u[1-9]", "a vector beside the largest singular one, which changes no result"
    ),
    Beyond("training_steps_biggan", "*", "*.sv[1-9]", "a singular value below the largest, which changes no result"),
    Beyond("training_steps_biggan", "*", "iter*/G_ema/*.sv0", "an average of norms for the log; ours stores no norms"),
    Beyond("losses", "logits*", "lecam_reg/*", "LeCam regularization: of none of the articles' families"),
    Beyond("losses", "logits*", "mimicry_ns/G*", "-log(sigmoid(f) + 1e-8), which saturates where ours is exact"),
    Beyond("losses", "logits*", "dual_contrastive_lucidrainsG/G*", "a slip of that code: G is trained to help D"),
    Beyond("stylegan1_torch", "*", "depth*/score", "D of that port has no activation after FromRGB"),
    Beyond("stylegan1_torch", "*", "depth*/grad_x*", "D of that port has no activation after FromRGB"),
    Beyond("pggan_torch", "akanimax*", "depth*/img", "G of that port has no pixel norm after its first convolution"),
    Beyond("pggan_torch", "akanimax*", "depth*/grad_z", "G of that port has no pixel norm after its first convolution"),
    Beyond(
        "pggan_torch", "pengge*", "level*.*/score", "while fading, D of that port halves features instead of images"
    ),
    Beyond(
        "nets_studiogan",
        "deep_studiogan*",
        "*",
        "blocks with a learned 1x1 shortcut, which are neither BigGAN-deep's nor its authors' code's",
    ),
)


def excused(file: str, case: str, key: str) -> bool:
    """Whether a row of the table names this value. A file's rows are also those of files named <stem>_<anything>."""
    return any(names(row, file, case, key) for row in TABLE)


def names(row: Beyond, file: str, case: str, key: str) -> bool:
    """Whether a row names this value."""
    in_file = f"{file}_".startswith(f"{row.file}_")
    return in_file and fnmatch.fnmatchcase(case, row.case) and fnmatch.fnmatchcase(key, row.key)
