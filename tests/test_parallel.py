"""Threads: settings, limits, processes, and the same bits for every number of threads."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from emulation import fork_after_threads

import pyquantk as qk
from pyquantk.parallel import register_threadpoolctl

N = 3_000_001  # well above the work threshold, and no multiple of anything
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


@pytest.fixture(autouse=True)
def _restore_num_threads():
    before = qk.get_num_threads()
    yield
    qk.set_num_threads(before)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(0, 40, N).astype(np.float32)


@pytest.fixture(scope="module")
def expected(x):
    return np.clip(np.rint(x / np.float32(0.5)), -128, 127).astype(np.int8)


def run_python(code, *, timeout=120, **env):
    """Run code in a fresh interpreter; a hang is a failure. Returns what it printed."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYQUANTK_NUM_THREADS", "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=clean | env,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class TestSettings:
    @pytest.mark.parametrize("n", [1, 2, 7, 1024, np.int32(3)])
    def test_set_and_get(self, n):
        qk.set_num_threads(n)
        assert qk.get_num_threads() == n

    @pytest.mark.parametrize("function", [qk.set_num_threads, qk.thread_limit])
    @pytest.mark.parametrize("n", [0, -1, 1025, 2**31, 2**64, -(2**64)])
    def test_out_of_range(self, function, n):
        before = qk.get_num_threads()
        with pytest.raises(ValueError, match=rf"n must be in \[1, 1024\], not {n}"):
            function(n)
        assert qk.get_num_threads() == before

    @pytest.mark.parametrize("function", [qk.set_num_threads, qk.thread_limit])
    @pytest.mark.parametrize("n", [2.0, "2", None])
    def test_not_an_integer(self, function, n):
        with pytest.raises(TypeError, match="n must be an integer, not"):
            function(n)

    @pytest.mark.parametrize(
        ("own", "omp", "n"),
        [
            ("3", "5", 3),
            ("", "5", 5),
            ("0", "6,2", 6),
            ("-1", "7", 7),
            ("many", "4", 4),
            ("2x", "9", 9),
            ("5000", "", 1024),
        ],
    )
    def test_environment(self, own, omp, n):
        code = "import pyquantk as qk; print(qk.get_num_threads())"
        assert run_python(code, PYQUANTK_NUM_THREADS=own, OMP_NUM_THREADS=omp) == str(n)

    @pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this platform has no affinity mask")
    def test_default_respects_affinity(self):
        code = """
            import os
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            import pyquantk as qk
            print(qk.get_num_threads())
        """
        assert run_python(code) == "1"

    def test_default_is_a_number_of_cpus(self):
        assert 1 <= int(run_python("import pyquantk as qk; print(qk.get_num_threads())")) <= os.cpu_count()


class TestThreadLimit:
    def test_nests_and_restores(self):
        qk.set_num_threads(5)
        with qk.thread_limit(2):
            assert qk.get_num_threads() == 2
            with qk.thread_limit(9):
                assert qk.get_num_threads() == 9
            assert qk.get_num_threads() == 2
            qk.set_num_threads(6)
            assert qk.get_num_threads() == 2
        assert qk.get_num_threads() == 6

    def test_restores_after_an_exception(self):
        before = qk.get_num_threads()
        with pytest.raises(KeyError), qk.thread_limit(before + 1):
            raise KeyError
        assert qk.get_num_threads() == before

    def test_decorator_calls_itself(self):
        qk.set_num_threads(5)

        @qk.thread_limit(2)
        def depth(n):
            """Docstring."""
            assert qk.get_num_threads() == 2
            return 0 if n == 0 else 1 + depth(n - 1)

        assert depth(3) == 3
        assert qk.get_num_threads() == 5
        assert depth.__doc__ == "Docstring."

    def test_belongs_to_its_thread(self):
        qk.set_num_threads(5)
        inside, leave = threading.Event(), threading.Event()
        seen = []

        def limited():
            with qk.thread_limit(2):
                inside.set()
                leave.wait(10)
                seen.append(qk.get_num_threads())
            seen.append(qk.get_num_threads())

        thread = threading.Thread(target=limited)
        thread.start()
        assert inside.wait(10)
        assert qk.get_num_threads() == 5
        with qk.thread_limit(3):
            leave.set()
            thread.join(10)
            assert qk.get_num_threads() == 3
        assert seen == [2, 5]


class TestSameBits:
    @pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 16, 33, 64])
    def test_for_every_number_of_threads(self, n, x, expected):
        with qk.thread_limit(n):
            np.testing.assert_array_equal(qk.quantize(x, 0.5), expected)

    def test_from_many_python_threads(self, x, expected):
        wrong = []

        def work(k):
            with qk.thread_limit(1 + k % 4):
                for i in range(4):
                    start = 1000 * k + i
                    q = qk.quantize(x[start:], 0.5)
                    back = qk.dequantize(q, 0.5)
                    if not np.array_equal(q, expected[start:]) or not np.array_equal(
                        back, expected[start:].astype(np.float32) * np.float32(0.5)
                    ):
                        wrong.append(k)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(32)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        assert not any(t.is_alive() for t in threads)
        assert wrong == []


def test_idle_threads_cost_nothing(x):
    with qk.thread_limit(16):
        qk.quantize(x, 0.5)
    time.sleep(0.02)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.01


# In an interpreter of their own: CPython 3.12 and later warn about fork beside threads, and a hang must not
# take the test run with it.
SETUP = """
    import os, sys, threading, time, warnings
    warnings.simplefilter("ignore")
    import numpy as np
    import pyquantk as qk
    qk.set_num_threads(4)
    x = np.random.default_rng(0).normal(0, 40, 1_000_001).astype(np.float32)
    expected = np.clip(np.rint(x / np.float32(0.5)), -128, 127).astype(np.int8)

    def right():
        return np.array_equal(qk.quantize(x, 0.5), expected)
"""


class TestProcesses:
    @posix
    @fork_after_threads
    @pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
    def test_fork(self, busy):
        code = (
            SETUP
            + f"""
    stop = threading.Event()
    def keep_busy():
        while not stop.is_set():
            qk.quantize(x, 0.5)
    thread = threading.Thread(target=keep_busy)
    if {busy}:
        thread.start()
    assert right()
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if right() and right() else 1)
        assert os.waitpid(pid, 0)[1] == 0, "the child failed"
    assert right()
    stop.set()
    print("done")
"""
        )
        assert run_python(code) == "done"

    @pytest.mark.parametrize("method", [pytest.param("fork", marks=fork_after_threads), "spawn"])
    def test_multiprocessing(self, method, tmp_path):
        import multiprocessing

        if method not in multiprocessing.get_all_start_methods():
            pytest.skip(f"this platform has no {method}")
        script = tmp_path / "job.py"  # spawn imports the main module again, so it must be a file
        script.write_text(
            textwrap.dedent(SETUP)
            + textwrap.dedent(f"""
            import multiprocessing

            def job(i):
                return right()

            if __name__ == "__main__":
                assert right()
                with multiprocessing.get_context("{method}").Pool(2) as pool:
                    assert all(pool.map(job, range(8)))
                print("done")
            """)
        )
        done = subprocess.run([sys.executable, str(script)], timeout=120, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "done", done.stderr

    @pytest.mark.parametrize("end", ["", "threading.Thread(target=forever, daemon=True).start(); time.sleep(0.05)"])
    def test_exit_with_a_live_pool(self, end):
        code = (
            SETUP
            + f"""
    def forever():
        while True:
            qk.quantize(x, 0.5)
    assert right()
    print("done")
    {end}
"""
        )
        for _ in range(3):
            assert run_python(code, timeout=30) == "done"


class TestThreadpoolctl:
    @pytest.fixture
    def ctl(self):
        threadpoolctl = pytest.importorskip("threadpoolctl")
        assert register_threadpoolctl()
        return threadpoolctl

    def entries(self, ctl):
        return [e for e in ctl.threadpool_info() if e["user_api"] == "pyquantk"]

    def test_info(self, ctl):
        qk.set_num_threads(3)
        assert register_threadpoolctl()  # a second time: still one entry
        (entry,) = self.entries(ctl)
        assert entry["num_threads"] == 3
        assert entry["version"] == qk.__version__
        assert entry["prefix"] == "_native"

    def test_limits(self, ctl):
        qk.set_num_threads(5)
        with ctl.threadpool_limits(limits=2, user_api="pyquantk"):
            assert qk.get_num_threads() == 2
        assert qk.get_num_threads() == 5

    def test_limits_within_thread_limit(self, ctl):
        qk.set_num_threads(5)
        with qk.thread_limit(4):
            with ctl.threadpool_limits(limits=2, user_api="pyquantk"):
                assert qk.get_num_threads() == 2
            assert qk.get_num_threads() == 4
        assert qk.get_num_threads() == 5

    def test_import_does_not_load_it(self):
        assert run_python("import sys, pyquantk; print('threadpoolctl' in sys.modules)") == "False"

    @pytest.mark.parametrize(
        "order",
        [
            "import threadpoolctl, pyquantk",
            "import pyquantk; from pyquantk import parallel; parallel.register_threadpoolctl()",
        ],
    )
    def test_either_order(self, ctl, order):
        code = (
            f"{order}; import threadpoolctl as t; print(sum(e['user_api'] == 'pyquantk' for e in t.threadpool_info()))"
        )
        assert run_python(code) == "1"
