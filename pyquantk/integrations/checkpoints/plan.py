"""Decide what becomes of each tensor, before anything is read or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .header import CheckpointError, TensorInfo

__all__ = ["QuantizeOptions", "is_embedding", "plan"]

BITS = {"int8": 8, "int4": 4}
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})

# Names of modules, lower case. Embeddings are table look-ups, not products; the compressed-tensors target "Linear"
# leaves them out as well. Output heads are linear, but their error goes straight into the logits.
_EMBEDDINGS = ("*embedding", "*embeddings", "embed_*", "*_embed", "wte", "wpe", "shared", "relative_attention_bias")
_HEADS = ("lm_head", "embed_out", "output_projection")


@dataclass(frozen=True)
class QuantizeOptions:
    """How to quantize.

    Parameters
    ----------
    dtype : {"int8", "int4"}
        int4 is stored one element a byte, which is what the ``int-quantized`` layout can say.
    axis : 0 or None, default 0
        0: one scale per output channel; None: one per tensor. Ignored with `block_size`.
    block_size : int, optional
        One scale per `block_size` inputs of each output channel; must divide the number of inputs.
    symmetric : bool, default True
        False stores a zero point beside each scale.
    include, exclude : sequence of str
        Shell patterns on tensor names. With `include`, the matching 2-D float tensors are quantized instead of the
        default choice; `exclude` takes away from either.
    """

    dtype: str = "int8"
    axis: int | None = 0
    block_size: int | None = None
    symmetric: bool = True
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.dtype not in BITS:
            raise ValueError(f"dtype must be one of {', '.join(BITS)} in the int-quantized layout, not {self.dtype!r}")
        if self.axis not in (0, None) and not (self.block_size and self.axis in (1, -1)):
            raise ValueError(
                f"axis must be 0 (a scale per output channel) or None (one per tensor), not {self.axis!r}: the "
                "int-quantized layout has no scale per input channel; block_size gives groups along the inputs"
            )
        if self.block_size is not None and (type(self.block_size) is not int or self.block_size < 1):
            raise ValueError(f"block_size must be a positive integer, not {self.block_size!r}")

    @property
    def bits(self) -> int:
        return BITS[self.dtype]

    @property
    def strategy(self) -> str:
        """The name compressed-tensors gives to this granularity."""
        return "group" if self.block_size else "tensor" if self.axis is None else "channel"

    def scale_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of ``weight_scale`` for a weight of `shape`."""
        if self.block_size:
            return (shape[0], shape[1] // self.block_size)
        return (1,) if self.axis is None else (shape[0], 1)


def plan(tensors: Mapping[str, TensorInfo], options: QuantizeOptions, file: str) -> set[str]:
    """Names of the tensors to quantize.

    By default: every 2-D float ``*.weight`` with elements that is neither an embedding nor an output head.

    Raises
    ------
    CheckpointError
        If nothing is left, an `include` pattern finds nothing, a chosen weight is already quantized, or
        `block_size` does not divide its inputs.
    """
    weights = [t for t in tensors.values() if is_quantizable(t)]
    for pattern in options.include:
        if not any(fnmatchcase(t.name, pattern) for t in weights):
            raise CheckpointError(f"{file}: include pattern {pattern!r} matches no 2-D float tensor named *.weight")
    if options.include:
        chosen = [t for t in weights if _matches(t.name, options.include)]
    else:
        chosen = [t for t in weights if not is_embedding(t.name) and not _matches(module_key(t.name), _HEADS)]
    chosen = [t for t in chosen if not _matches(t.name, options.exclude)]
    if not chosen:
        raise CheckpointError(f"{file}: no tensor to quantize among {len(tensors)}; see --include and --exclude")
    for t in chosen:
        for suffix in ("_scale", "_scale_inv", "_zero_point"):
            if t.name + suffix in tensors:
                raise CheckpointError(
                    f"{file}: tensor {t.name!r} is quantized already: {t.name + suffix!r} is beside it"
                )
        if options.block_size and t.shape[1] % options.block_size:
            raise CheckpointError(
                f"{file}: block_size {options.block_size} does not divide the {t.shape[1]} inputs of {t.name!r}; "
                "choose another or exclude the tensor"
            )
    return {t.name for t in chosen}


def is_quantizable(t: TensorInfo) -> bool:
    return t.name.endswith(".weight") and len(t.shape) == 2 and t.nbytes > 0 and t.dtype in FLOATS


def is_embedding(name: str) -> bool:
    """Whether the tensor `name` belongs to a module named like an embedding."""
    key = module_key(name)
    return _matches(key, _EMBEDDINGS) and not _matches(key, _HEADS)


def module_key(name: str) -> str:
    """``"model.embed_tokens.weight"`` -> ``"embed_tokens"``."""
    return name.removesuffix(".weight").rpartition(".")[2].lower()


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
