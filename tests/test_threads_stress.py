"""Many threads, many processes, many calls: right results, no hang, no growth, and a Python that goes on meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import oracle
import pytest
import strategies as some
from emulation import EMULATED, fork_after_threads, unless_emulated

import pyquantk as qk

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
HERE = os.path.dirname(os.path.abspath(__file__))


def run_python(code, *, timeout=240, **environment):
    """Run code in a fresh interpreter that finds the tests' modules; a hang is a failure. Returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {HERE!r})\n" + textwrap.dedent(code)],
        env=os.environ | environment,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- mixed calls -------------------------------------------------------------------------------------------------


class Job:
    """Calls of every kind on one array, and what they must return."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.shape = (int(rng.integers(1, 60)), int(rng.integers(1, 4000)))
        self.x = some.values(rng, self.shape, oracle.FLOATS[seed % 3])
        self.name = list(oracle.INTEGERS)[seed % len(oracle.INTEGERS)]
        self.convention = oracle.CONVENTIONS[seed % len(oracle.CONVENTIONS)]
        self.low, self.high, self.bits = oracle.INTEGERS[self.name]
        kind = ("tensor", "channel", "block")[seed // 3 % 3]
        self.keywords = {"tensor": {}, "channel": {"axis": 1}, "block": {"block_size": 32}}[kind]
        block = {"tensor": self.shape, "channel": (self.shape[0], 1), "block": (1, 32)}[kind]
        full = oracle.block_counts(self.shape, block)
        given = {"tensor": (), "channel": full[1:], "block": full}[kind]
        self.scale, self.zero = some.scales(rng, given), rng.integers(self.low, self.high + 1, given)
        scale, zero = (oracle.each(p.reshape(full), self.shape, block) for p in (self.scale, self.zero))
        q = oracle.quantize(self.x, scale, zero, self.low, self.high, self.convention, kind)
        self.q = q.astype(np.int32).astype(oracle.dtype(self.name))
        self.back = oracle.dequantize(q, scale, zero)
        self.faked = oracle.fake_quantize(
            self.x, scale, zero, self.low, self.high, self.convention, kind, self.x.dtype.name
        )
        self.packed = oracle.pack(q, self.bits) if self.bits < 8 else None
        x = self.x.astype(np.float32)
        self.nans, self.most = int(np.isnan(x).sum()), np.nanmax(x) if not np.isnan(x).all() else -np.inf

    def run(self):
        parameters = (self.scale, self.zero)
        options = {"convention": self.convention, **self.keywords}
        some.assert_same(qk.quantize(self.x, *parameters, dtype=self.name, **options), self.q)
        some.assert_same(qk.dequantize(self.q, *parameters, **self.keywords), self.back)
        y, mask = qk.fake_quantize(
            self.x, *parameters, quant_min=self.low, quant_max=self.high, return_mask=True, **options
        )
        some.assert_same(y, self.faked[0])
        some.assert_same(mask, self.faked[1])
        if self.packed is not None:
            some.assert_same(qk.quantize(self.x, *parameters, dtype=self.name, packed=True, **options), self.packed)
        stats = qk.observe(self.x)
        assert (stats.nan_count, stats.max) == (self.nans, self.most)


@pytest.fixture(scope="module")
def jobs():
    return [Job(seed) for seed in range(24)]


@pytest.mark.parametrize("limit", [1, 2, 8, 64])
def test_mixed_calls_from_32_threads(jobs, limit):
    start = threading.Barrier(32)

    def work(k):
        start.wait(60)
        with qk.thread_limit(1 + k % limit):
            for i in range(6):
                jobs[(5 * k + i) % len(jobs)].run()

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(32), timeout=240))


def test_threads_that_come_and_go(jobs):
    """Each Python thread is new, so that nothing of a dead one may be needed."""
    failed = []

    def work(job):
        try:
            job.run()
        except BaseException as error:
            failed.append(error)

    for i in range(100):
        thread = threading.Thread(target=work, args=(jobs[i % len(jobs)],))
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    assert not failed


def test_changing_the_number_of_threads_while_others_compute(jobs):
    before, stop = qk.get_num_threads(), threading.Event()

    def change():
        n = 0
        while not stop.is_set():
            qk.set_num_threads(1 + n % 9)
            n += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: jobs[i % len(jobs)].run(), range(48), timeout=240))
    finally:
        stop.set()
        thread.join(60)
        qk.set_num_threads(before)


# --- processes ---------------------------------------------------------------------------------------------------

SETUP = """
    import os, signal, sys, threading, warnings
    warnings.simplefilter("ignore")
    import pyquantk as qk
    from test_threads_stress import Job
    qk.set_num_threads(4)
    jobs = [Job(seed) for seed in range(6)]
    def right():
        try:
            for job in jobs:
                job.run()
        except BaseException as error:
            print(error, file=sys.stderr)
            return False
        return True
    def child(body):
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            os._exit(0 if body() else 1)
        return os.waitpid(pid, 0)[1]
"""


@posix
@fork_after_threads
@pytest.mark.parametrize("busy", [0, 1, 3])
def test_a_hundred_forks(busy):
    code = (
        textwrap.dedent(SETUP)
        + f"""
stop = threading.Event()
threads = [threading.Thread(target=lambda: [right() for _ in iter(stop.is_set, True)]) for _ in range({busy})]
for thread in threads:
    thread.start()
assert right()
for i in range(100):
    status = child((lambda: right() and child(right) == 0) if i % 20 == 0 else right)
    assert status == 0, status
assert right()
stop.set()
for thread in threads:
    thread.join(60)
print("done")
"""
    )
    assert run_python(code) == "done"


@posix
@fork_after_threads
def test_forks_from_many_threads():
    code = (
        textwrap.dedent(SETUP)
        + """
failed = []
def forks():
    for _ in range(8):
        if child(right):
            failed.append(1)
threads = [threading.Thread(target=forks) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(200)
assert not failed and right()
print("done")
"""
    )
    assert run_python(code) == "done"


# --- the GIL, signals, memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["quantize", "dequantize", "fake_quantize", "observe"])
def test_python_goes_on_during_a_call(operation):
    """A thread that only notes the time is never held up for as much as half of a long call."""
    n = 1 << (22 if EMULATED else 25)
    x = np.broadcast_to(np.float32(1.25), n)
    out = np.empty(n, np.int8 if operation == "quantize" else np.float32)
    call = {
        "quantize": lambda: qk.quantize(x, 0.5, out=out),
        "dequantize": lambda: qk.dequantize(np.broadcast_to(np.int8(3), n), 0.5, out=out),
        "fake_quantize": lambda: qk.fake_quantize(x, 0.5, out=out),
        "observe": lambda: qk.observe(np.broadcast_to(x, (8, n))),
    }[operation]
    ticks, stop = [], threading.Event()

    def note():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    def longest_wait():
        ticks.clear()
        begin = time.perf_counter()
        call()
        end = time.perf_counter()
        inside = [begin, *(t for t in list(ticks) if begin < t < end), end]
        return max(b - a for a, b in pairwise(inside)) / (end - begin)

    thread = threading.Thread(target=note)
    thread.start()
    try:
        with qk.cpu.use("scalar"), qk.thread_limit(1):
            call()  # touches the pages of out
            assert min(longest_wait() for _ in range(3)) < 0.5
    finally:
        stop.set()
        thread.join(60)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this platform has no interval timers")
def test_an_interrupt_during_a_call():
    """KeyboardInterrupt comes when the call is done; layer, limits and later calls are as before."""
    code = """
        import os, signal, threading, time
        import numpy as np
        import pyquantk as qk
        qk.set_num_threads(3)
        n = 1 << 24
        x, out = np.broadcast_to(np.float32(1.25), n), np.empty(n, np.int8)
        active, caught = qk.cpu.active(), 0
        for i in range(20):
            out.fill(99)
            signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
            try:
                with qk.cpu.use("scalar"), qk.thread_limit(2):
                    # Not before: Python can be interrupted between entering a context and the block.
                    signal.setitimer(signal.ITIMER_REAL, 0.001 * (1 + i))
                    while True:
                        qk.quantize(x, 0.5, out=out)
            except KeyboardInterrupt:
                caught += 1
            assert (out == out[0]).all()
            assert (qk.cpu.active(), qk.get_num_threads()) == (active, 3)
        assert qk.quantize([1.25], 0.5).tolist() == [2]
        print(caught)
    """
    assert run_python(code) == "20"


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")
def test_memory_does_not_grow():
    """100,000 calls of every kind, failing ones too: under 1 MB."""
    code = f"rounds = {(10_000 if EMULATED else 100_000) // 14 + 1}\n" + textwrap.dedent("""
        import gc
        import numpy as np
        import pyquantk as qk
        x = np.linspace(-9, 9, 600, dtype=np.float32).reshape(20, 30)
        q, y = np.empty(x.shape, np.int8), np.empty_like(x)
        scale = np.full(30, 0.1, np.float32)
        fortran, swapped = np.asfortranarray(x), x.astype(">f4")
        def calls():
            qk.quantize(x, 0.1, 3, out=q)
            qk.dequantize(q, 0.1, 3, out=y)
            qk.quantize(fortran, scale, axis=1)
            qk.dequantize(q, scale, axis=1, dtype="bfloat16")
            qk.fake_quantize(swapped, scale, axis=1, return_mask=True)
            qk.observe(x, block_size=8)
            held = qk.quantize(x, 0.1, dtype="int4", packed=True)
            qk.dequantize(held, 0.1, packed="int4", shape=x.shape)
            qk.choose_params(x, axis=1).quantize(x)
            for wrong in ({"axis": 1}, {"dtype": "int3"}, {"out": y}, {"convention": "?"}):
                try:
                    qk.quantize(x, 0.1, **wrong)
                except (TypeError, ValueError):
                    pass
                else:
                    raise AssertionError(wrong)
        def resident():
            gc.collect()
            with open("/proc/self/statm") as f:
                return int(f.read().split()[1]) * 4096
        for _ in range(500):
            calls()
        before = resident()
        for _ in range(rounds):
            calls()
        print(resident() - before)
    """)
    assert int(run_python(code)) < 1 << 20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc")
def test_memory_does_not_grow_in_a_million_calls():
    """The fast ways of quantize and dequantize, one after the other: under 1 MB."""
    code = f"calls = {20_000 if EMULATED else 500_000}\n" + textwrap.dedent("""
        import gc
        import numpy as np
        import pyquantk as qk
        x = np.linspace(-9, 9, 64, dtype=np.float32)
        q, y = np.empty(x.shape, np.int8), np.empty_like(x)
        def resident():
            gc.collect()
            with open("/proc/self/statm") as f:
                return int(f.read().split()[1]) * 4096
        def run(n):
            for _ in range(n):
                qk.quantize(x, 0.1, 3, out=q)
                qk.dequantize(q, 0.1, 3)
        run(5000)
        before = resident()
        run(calls)
        print(resident() - before)
    """)
    assert int(run_python(code)) < 1 << 20


@posix
@unless_emulated("keeps memory of each thread that has ended")
def test_memory_does_not_grow_with_threads_that_end():
    code = """
        import gc, threading
        import numpy as np
        import pyquantk as qk
        x = np.ones(200_000, np.float32)
        def resident():
            gc.collect()
            with open("/proc/self/statm") as f:
                return int(f.read().split()[1]) * 4096
        def burst(n):
            for _ in range(n):
                t = threading.Thread(target=lambda: qk.observe(x))
                t.start()
                t.join()
        with qk.thread_limit(4):
            qk.observe(x)
        burst(200)
        before = resident()
        burst(1000)
        print(resident() - before)
    """
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("resident memory is read from /proc")
    assert int(run_python(code)) < 1 << 20
