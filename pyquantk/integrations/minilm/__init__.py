"""all-MiniLM-L6-v2, a sentence encoder of 22 million parameters, in NumPy: in float32, or with `QuantizedLinear`.

What `pyquantk demo` measures; an example of how a model uses the library, with no other framework.
"""

from .compare import Comparison, compare
from .model import Encoder, float_linear, observed_ranges, quantized_linear
from .text import MissingTokenizer, tokenize

__all__ = [
    "Comparison",
    "Encoder",
    "MissingTokenizer",
    "compare",
    "float_linear",
    "observed_ranges",
    "quantized_linear",
    "tokenize",
]
