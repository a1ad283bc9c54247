"""The forward pass of a BERT encoder: from token numbers to one vector of length 1 for each sentence.

The tokens of all sentences are the rows of one matrix, so there is no padding; attention alone looks at one sentence
after the other. Linear layers come from a factory: `float_linear` multiplies in float32, `quantized_linear` in int8.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pyquantk as qk

from ...arrays import Array
from ..checkpoints import SafetensorsFile

__all__ = ["Encoder", "Linear", "float_linear", "observed_ranges", "quantized_linear"]

Linear = Callable[[Array], Array]

#: (name, weight (out, in), bias, activation) -> layer.
MakeLinear = Callable[[str, Array, Array, "str | None"], Linear]

#: Absolute maximum of each input feature, by the name of the layer.
Ranges = dict[str, Array]


def float_linear(name: str, weight: Array, bias: Array, activation: str | None) -> Linear:
    """x @ weight.T + bias in float32, by NumPy."""
    w = np.ascontiguousarray(weight.T)

    def linear(x: Array) -> Array:
        y = x @ w
        y += bias
        return gelu(y) if activation == "gelu" else y

    return linear


def observed_ranges(folder: Path, sentences: Sequence[Sequence[int]]) -> Ranges:
    """What the inputs of each linear layer reach on some sentences, in float32."""
    ranges: Ranges = {}

    def make(name: str, weight: Array, bias: Array, activation: str | None) -> Linear:
        linear = float_linear(name, weight, bias, activation)

        def observed(x: Array) -> Array:
            ranges[name] = qk.observe(x, axis=1).absmax
            return linear(x)

        return observed

    Encoder(folder, make)(sentences)
    return ranges


def quantized_linear(ranges: Ranges) -> MakeLinear:
    """The same with int8 weights by output feature and int8 activations by token.

    Features in which a few tokens are far out of the ordinary would take the resolution of all others. Behind a
    normalization they are divided by sqrt(their range / that of their weights), and the weights multiplied by it:
    Xiao et al., "SmoothQuant", 2023.
    """

    def make(name: str, weight: Array, bias: Array, activation: str | None) -> Linear:
        if name.endswith(_NORMALIZED):
            spread = np.sqrt(np.maximum(ranges[name], 1e-5) / np.maximum(np.abs(weight).max(0), 1e-5))
            layer, inverse = qk.QuantizedLinear(weight * spread, bias, activation=activation), 1 / spread
            return lambda x: layer(x * inverse)
        plain: Linear = qk.QuantizedLinear(weight, bias, activation=activation)
        return plain

    return make


_NORMALIZED = ("attention.self.query", "intermediate.dense")  # layers whose input is normalized


class Encoder:
    """The encoder of a folder with config.json and model.safetensors."""

    def __init__(self, folder: Path, make: MakeLinear) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
            raise ValueError(f"{folder / 'config.json'} must be of a BERT encoder with GELU")
        self.heads: int = config["num_attention_heads"]
        self.epsilon = np.float32(config["layer_norm_eps"])
        with SafetensorsFile(folder / "model.safetensors") as file:
            tensors = {name: np.array(file[name]) for name in file.tensors if not name.startswith("pooler.")}
        names = ("word", "position", "token_type")
        self.words, self.positions, kinds = (tensors[f"embeddings.{name}_embeddings.weight"] for name in names)
        self.kind = kinds[0]  # the first sentence of a pair, and there is no second
        self.norm = _norm(tensors, "embeddings")
        self.blocks = [_Block(tensors, f"encoder.layer.{i}", make) for i in range(config["num_hidden_layers"])]

    def __call__(self, sentences: Sequence[Sequence[int]]) -> Array:
        """Embeddings, float32 (sentences, hidden), of token numbers."""
        tokens = np.concatenate([np.asarray(sentence, np.int64) for sentence in sentences])
        places = np.concatenate([np.arange(len(sentence)) for sentence in sentences])
        ends = np.cumsum([len(sentence) for sentence in sentences])
        rows = [slice(end - len(sentence), end) for end, sentence in zip(ends, sentences, strict=True)]
        x = self._normalized(self.words[tokens] + self.positions[places] + self.kind, self.norm)
        for block in self.blocks:
            mixed = np.empty_like(x)
            heads = block.query_key_value(x)
            for row in rows:
                mixed[row] = _attention(heads[row], self.heads)
            x = self._normalized(block.mixed(mixed) + x, block.mixed_norm)
            x = self._normalized(block.down(block.up(x)) + x, block.norm)
        means = np.stack([x[row].mean(0) for row in rows])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))

    def _normalized(self, x: Array, norm: tuple[Array, Array]) -> Array:
        """Layer normalization, in place."""
        x -= x.mean(1, keepdims=True)
        variance = np.einsum("ij,ij->i", x, x)[:, None] / np.float32(x.shape[1])
        x *= 1 / np.sqrt(variance + self.epsilon)
        x *= norm[0]
        x += norm[1]
        return x


class _Block:
    """The layers of one transformer block; query, key and value are one matrix."""

    def __init__(self, tensors: dict[str, Array], name: str, make: MakeLinear) -> None:
        def linear(activation: str | None, *parts: str) -> Linear:
            weight = np.concatenate([tensors[f"{name}.{part}.weight"] for part in parts])
            bias = np.concatenate([tensors[f"{name}.{part}.bias"] for part in parts])
            return make(f"{name}.{parts[0]}", weight, bias, activation)

        self.query_key_value = linear(None, *(f"attention.self.{part}" for part in ("query", "key", "value")))
        self.mixed = linear(None, "attention.output.dense")
        self.mixed_norm = _norm(tensors, f"{name}.attention.output")
        self.up = linear("gelu", "intermediate.dense")
        self.down = linear(None, "output.dense")
        self.norm = _norm(tensors, f"{name}.output")


def _norm(tensors: dict[str, Array], name: str) -> tuple[Array, Array]:
    return tensors[f"{name}.LayerNorm.weight"], tensors[f"{name}.LayerNorm.bias"]


def _attention(query_key_value: Array, heads: int) -> Array:
    """What each token of one sentence takes from the others; (tokens, 3 hidden) to (tokens, hidden)."""
    tokens = query_key_value.shape[0]
    parts = np.ascontiguousarray(query_key_value.reshape(tokens, 3, heads, -1).transpose(1, 2, 0, 3))
    query, key, value = parts
    scores = query @ key.transpose(0, 2, 1)
    scores *= np.float32(query.shape[-1] ** -0.5)
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    return np.asarray((scores @ value).transpose(1, 0, 2).reshape(tokens, -1))


def gelu(y: Array) -> Array:
    """y/2 (1 + erf(y / sqrt 2)), in place; erf as in Abramowitz & Stegun 7.1.26, within 1.5e-7."""
    size = np.abs(y)
    size *= np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series: Any = np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(coefficient)
    series *= t
    size *= -size
    series *= np.exp(size, out=size)
    # erf(|z|) = 1 - series: y/2 (1 + erf) is y - y/2 series for y >= 0 and y/2 series for y < 0.
    series *= np.abs(y) * np.float32(0.5)
    np.maximum(y, 0, out=y)
    y -= series
    return y
