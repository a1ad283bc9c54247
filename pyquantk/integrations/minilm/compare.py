"""The encoder in float32 beside the one in int8: how far apart, and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from .model import Encoder, float_linear, observed_ranges, quantized_linear
from .text import PASSAGES, tokenize

__all__ = ["Comparison", "compare"]

_TOKENS = 128
_CALIBRATION = 2  # passages that choose ranges, and are not compared
_RUNS = 3


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    texts : int
        Texts whose embeddings were compared: passages and their sentences, none of which chose a range.
    worst, mean : float
        Cosine of the int8 embedding with the float32 one.
    tokens : int
        Of the passages, which were timed.
    float_seconds, int8_seconds : float
        The forward pass of all passages, least of several runs.
    load_seconds : float
        To find ranges, and to quantize and pack all linear layers.
    """

    texts: int
    worst: float
    mean: float
    tokens: int
    float_seconds: float
    int8_seconds: float
    load_seconds: float


def compare(folder: Path) -> Comparison:
    """Run both encoders of the model in `folder` on the texts of the demo.

    Raises
    ------
    MissingTokenizer
        If there is no way to turn text into tokens.
    """
    passages = tokenize(folder, PASSAGES, _TOKENS)
    others = PASSAGES[_CALIBRATION:]
    texts = passages[_CALIBRATION:] + tokenize(folder, [part for text in others for part in text.split(". ")], _TOKENS)
    in_float = Encoder(folder, float_linear)
    start = time.perf_counter()
    ranges = observed_ranges(folder, passages[:_CALIBRATION])
    in_int8 = Encoder(folder, quantized_linear(ranges))
    load = time.perf_counter() - start
    cosines = (in_float(texts) * in_int8(texts)).sum(1)
    least = {in_float: float("inf"), in_int8: float("inf")}
    for _ in range(_RUNS):  # in turn, so that a slow moment of the machine meets both
        for encoder, best in least.items():
            start = time.perf_counter()
            encoder(passages)
            least[encoder] = min(best, time.perf_counter() - start)
    return Comparison(
        texts=len(texts),
        worst=float(cosines.min()),
        mean=float(cosines.mean()),
        tokens=sum(map(len, passages)),
        float_seconds=least[in_float],
        int8_seconds=least[in_int8],
        load_seconds=load,
    )
