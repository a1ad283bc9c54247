"""The encoder of the demo, on a small random model: its formulas, and int8 beside float32."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from pyquantk.integrations.minilm import Encoder, float_linear, observed_ranges, quantized_linear
from pyquantk.integrations.minilm.model import gelu

HIDDEN, HEADS, INNER, WORDS = 64, 4, 128, 50
SENTENCES = [[1, 7, 30, 2], [1, 2], [1, *range(10, 40), 2]]


def tensors():
    rng = np.random.default_rng(0)
    made = {
        "embeddings.word_embeddings.weight": rng.normal(size=(WORDS, HIDDEN)),
        "embeddings.position_embeddings.weight": rng.normal(size=(64, HIDDEN)),
        "embeddings.token_type_embeddings.weight": rng.normal(size=(2, HIDDEN)),
    }

    def norm(name):
        made[f"{name}.LayerNorm.weight"] = rng.uniform(0.5, 2, HIDDEN)
        made[f"{name}.LayerNorm.bias"] = rng.normal(size=HIDDEN) / 4

    def dense(name, out, into):
        made[f"{name}.weight"] = rng.normal(size=(out, into)) / np.sqrt(into)
        made[f"{name}.bias"] = rng.normal(size=out) / 8

    norm("embeddings")
    for i in range(2):
        block = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            dense(f"{block}.attention.self.{part}", HIDDEN, HIDDEN)
        dense(f"{block}.attention.output.dense", HIDDEN, HIDDEN)
        norm(f"{block}.attention.output")
        dense(f"{block}.intermediate.dense", INNER, HIDDEN)
        dense(f"{block}.output.dense", HIDDEN, INNER)
        norm(f"{block}.output")
    return {name: a.astype(np.float32) for name, a in made.items()}


CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "num_attention_heads": HEADS,
    "num_hidden_layers": 2,
    "layer_norm_eps": 1e-12,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    write(path / "model.safetensors", tensors())
    (path / "config.json").write_text(json.dumps(CONFIG))
    return path


def write(path, arrays):
    header, at = {}, 0
    for name, a in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(a.tobytes() for a in arrays.values()))


def one_sentence(t, tokens):
    """The same model in float64, written token by token from the paper."""

    def linear(x, name):
        return x @ t[f"{name}.weight"].T.astype(np.float64) + t[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(1, keepdims=True)
        x = x / np.sqrt((x * x).mean(1, keepdims=True) + CONFIG["layer_norm_eps"])
        return x * t[f"{name}.LayerNorm.weight"] + t[f"{name}.LayerNorm.bias"]

    e = "embeddings.{}_embeddings.weight"
    x = t[e.format("word")][tokens] + t[e.format("position")][: len(tokens)] + t[e.format("token_type")][0]
    x = norm(x.astype(np.float64), "embeddings")
    for i in range(2):
        block, size = f"encoder.layer.{i}", HIDDEN // HEADS
        q, k, v = (linear(x, f"{block}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for h in range(HEADS):
            part = slice(h * size, (h + 1) * size)
            weights = np.exp(q[:, part] @ k[:, part].T / math.sqrt(size))
            heads.append(weights / weights.sum(1, keepdims=True) @ v[:, part])
        x = norm(x + linear(np.concatenate(heads, 1), f"{block}.attention.output.dense"), f"{block}.attention.output")
        up = linear(x, f"{block}.intermediate.dense")
        up = up / 2 * (1 + np.vectorize(math.erf)(up / math.sqrt(2)))
        x = norm(x + linear(up, f"{block}.output.dense"), f"{block}.output")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def test_float_encoder_is_the_formula(folder):
    wanted = np.stack([one_sentence(tensors(), sentence) for sentence in SENTENCES])
    found = Encoder(folder, float_linear)(SENTENCES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_int8_encoder_is_close(folder):
    in_float = Encoder(folder, float_linear)(SENTENCES)
    in_int8 = Encoder(folder, quantized_linear(observed_ranges(folder, SENTENCES[2:])))
    found = in_int8(SENTENCES)
    assert (found * in_float).sum(1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_gelu():
    y = np.linspace(-9, 9, 20001).astype(np.float32)
    right = [v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in y.astype(np.float64)]
    np.testing.assert_allclose(gelu(y.copy()), right, atol=1e-6)


def test_other_models_are_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "hidden_act": "relu"}))
    with pytest.raises(ValueError, match=r"config\.json must be of a BERT encoder with GELU"):
        Encoder(tmp_path, float_linear)
