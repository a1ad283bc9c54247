"""The ``int-quantized`` layout of compressed-tensors: names beside a weight, and the entry for config.json.

``weight`` I8 (N, K); ``weight_scale`` F32, (N, 1) per channel, (N, K / g) per group, (1,) per tensor;
``weight_zero_point`` I8 of the same shape where asymmetric. value = (weight - zero_point) * scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .header import TensorInfo
from .plan import QuantizeOptions, is_embedding, is_quantizable

__all__ = ["output_tensors", "quantization_config"]


def output_tensors(info: TensorInfo, options: QuantizeOptions) -> list[tuple[str, str, tuple[int, ...]]]:
    """(name, dtype, shape) of what replaces a quantized weight."""
    shape = options.scale_shape(info.shape)
    tensors = [(info.name, "I8", info.shape), (info.name + "_scale", "F32", shape)]
    if not options.symmetric:
        tensors.append((info.name + "_zero_point", "I8", shape))
    return tensors


def quantization_config(
    tensors: Mapping[str, TensorInfo], chosen: set[str], options: QuantizeOptions, config: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The value of ``quantization_config`` in a model's config.json.

    Readers turn every linear module that `ignore` does not name into a quantized one, so it names each
    2-D weight that stayed float. Symmetric int8 per channel is announced with int8 activations, chosen per
    token at run time, the form that int8 engines execute; the other forms are weight-only.
    """
    modules = {name.removesuffix(".weight") for name in chosen}
    kept = [t.name for t in tensors.values() if is_quantizable(t) and t.name not in chosen]
    ignore = [name.removesuffix(".weight") for name in kept if not is_embedding(name)]
    # A head that shares the embedding's storage is not in the file, but it is a linear module of the model.
    architectures = (config or {}).get("architectures")
    generates = isinstance(architectures, list) and any(
        str(a).endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")) for a in architectures
    )
    if generates and not any(name.rpartition(".")[2] == "lm_head" for name in [*modules, *ignore]):
        ignore.append("re:.*lm_head")
    weights: dict[str, Any] = {
        "num_bits": options.bits,
        "type": "int",
        "symmetric": options.symmetric,
        "strategy": options.strategy,
        "dynamic": False,
    }
    if options.block_size:
        weights["group_size"] = options.block_size
    activations = None
    if options.symmetric and options.bits == 8 and options.strategy == "channel":
        activations = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    groups = {"group_0": _group(["Linear"], weights, activations)}
    embeddings = sorted(m for m in modules if is_embedding(m))
    if embeddings:
        # Quantized on demand only. "Linear" does not reach them, their names do; their inputs are indices.
        groups["group_1"] = _group(embeddings, weights, None)
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "ignore": ignore,
        "config_groups": groups,
    }


def _group(targets: list[str], weights: dict[str, Any], activations: dict[str, Any] | None) -> dict[str, Any]:
    # The format is repeated in each group: readers take weight-only groups without one for pack-quantized.
    return {"targets": targets, "weights": weights, "input_activations": activations, "format": "int-quantized"}
