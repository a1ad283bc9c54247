#!/usr/bin/env python3
"""Feed a fuzz target of this folder bytes until the time is over; an unexpected exception ends the run with its input.

    python tests/fuzz/run.py checkpoint --seconds 60
    python tests/fuzz/run.py calls --input crash-...       # once again

With atheris installed the bytes follow coverage; without it they are random mutations of the target's seeds.
A target is a module ``fuzz_<name>.py`` with ``SEEDS``, a list of bytes, and ``one_input(data)``.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import mmap
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

try:
    import atheris  # type: ignore[import-untyped]
except ImportError:
    atheris = None

NUMBERS = [b"0", b"-1", b"1e9", b"255", b"2147483648", b"9223372036854775807", b"18446744073709551616"]
TOKENS = [*NUMBERS, b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\u0000", b"\\ud800", b"NaN", b"true", b"null"]


def mutated(data: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    new = bytearray(data)
    for _ in range(1 << rng.randrange(4)):
        at, other = rng.randrange(len(new) + 1), rng.choice(seeds)
        match rng.randrange(6):
            case 0 if new:
                new[at % len(new)] ^= 1 << rng.randrange(8)
            case 1 if new:
                new[at % len(new)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
            case 2:
                del new[at : at + rng.randrange(1, 9)]
            case 3:
                new[at:at] = rng.choice(TOKENS)
            case 4:
                new[at : at + rng.randrange(9)] = other[rng.randrange(len(other)) :][: rng.randrange(1, 30)]
            case _:
                new[at:at] = new[at : at + rng.randrange(1, 40)]
    return bytes(new[:4096])


def random_mutations(one_input: Callable[[bytes], None], seeds: list[bytes], seconds: float, seed: int) -> None:
    rng, pool, count = random.Random(seed), list(seeds), 0
    end = time.monotonic() + seconds
    # The input of a crash that no handler sees (a fault in C) is found in this file.
    with open("fuzz-last-input", "w+b") as file:
        file.truncate(8192)
        last = mmap.mmap(file.fileno(), 8192)
    for data in pool:
        one_input(data)
    while count % 64 or time.monotonic() < end:
        data = mutated(rng.choice(pool), seeds, rng)
        last[:8192] = len(data).to_bytes(8, "little") + data.ljust(8184, b"\0")
        try:
            one_input(data)
        except BaseException:
            Path(f"crash-{seed}-{count}").write_bytes(data)
            print(f"input {count} of seed {seed}: {data!r}", file=sys.stderr)
            raise
        count += 1
        if rng.randrange(1000) == 0:  # a walk away from the seeds
            pool[rng.randrange(len(pool))] = data
    print(f"{count} inputs, none crashed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", type=Path, help="run this file's bytes, once")
    args = parser.parse_args()
    faulthandler.enable()
    with atheris.instrument_imports(include=["pyquantk"]) if atheris and not args.input else nullcontext():
        target = importlib.import_module(f"fuzz_{args.target}")
    if args.input:
        target.one_input(args.input.read_bytes())
    elif atheris is None:
        random_mutations(target.one_input, target.SEEDS, args.seconds, args.seed)
    else:
        with tempfile.TemporaryDirectory() as corpus:
            for i, data in enumerate(target.SEEDS):
                Path(corpus, str(i)).write_bytes(data)
            options = [f"-max_total_time={args.seconds}", f"-seed={args.seed}", "-max_len=4096", "-print_final_stats=1"]

            def mutate(data: bytes, most: int, seed: int) -> bytes:
                ours = mutated(data, target.SEEDS, random.Random(seed))[:most]
                return ours if seed % 2 else atheris.Mutate(data, most)

            atheris.Setup([sys.argv[0], *options, corpus], target.one_input, custom_mutator=mutate)
            atheris.Fuzz()


if __name__ == "__main__":
    main()
