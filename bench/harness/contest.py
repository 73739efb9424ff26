"""Contenders take turns at the same work: A B A B ..., each a slice of time, and medians are compared."""
import os
import statistics
import time

import numpy as np

from harness import files, roofline
from harness.engines import Engine

OUTSIDE = 0.12  # of all cores' time: with more of it used by others, a slice does not count


def _busy_seconds():
    """All cores' time that somebody used, of this machine or of its host (steal)."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def slice_of(engine, work, seconds):
    """Times of single runs in ms, and the share of the machine that others used meanwhile."""
    busy, own, start = _busy_seconds(), engine.cpu_seconds(), time.perf_counter()
    times = engine.ask(op="time", work=work, seconds=seconds)["ms"]
    took = time.perf_counter() - start
    outside = (_busy_seconds() - busy) - (engine.cpu_seconds() - own)
    return times, max(0.0, outside) / (took * os.cpu_count())


def error_of(mine, other):
    """The largest difference relative to the largest value."""
    if mine.shape != other.shape:
        return float("inf")
    return float(np.abs(mine - other).max() / max(np.abs(other).max(), 1e-30))


def outputs(engine, work):
    """Its first result, and how long that took in ms, the first time."""
    path = files.cached("output.bin")
    took = engine.ask(op="output", work=work, file=path)["ms"]
    return np.fromfile(path, np.float32), took


class Contest:
    """The contenders of one case with one number of threads. As a context it ends their processes."""

    def __init__(self, case, threads):
        self.case, self.threads, self.engines = case, threads, {}
        try:
            for c in case.contenders(threads):
                self.engines[c] = Engine(c.name, c.command, c.env)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for e in self.engines.values():
            e.close()

    def play(self, work, rounds, seconds):
        """Contender -> {"ms": median of a run, "low", "high", "error": against ours, "dropped": slices}, for those worth it: of settings
        of one peer the slower ones, by more than a tenth in a first slice, are left out. And the machine's peaks, measured between rounds."""
        mine = next(c for c in self.engines if c.ours)
        out = {c: outputs(e, work.request) for c, e in self.engines.items()}  # warms them, too
        error = {c: error_of(out[mine][0], x) for c, (x, _) in out.items()}
        first = {c: out[c][1] if out[c][1] > 1000 else statistics.median(slice_of(e, work.request, seconds / 4)[0])
                 for c, e in self.engines.items()}
        best = {}
        for c in first:
            best[c.peer] = min(best.get(c.peer, 1e99), first[c])
        playing = [c for c in first if first[c] <= 1.1 * best[c.peer]]
        kept, noisy, roofs = {c: [] for c in playing}, {c: [] for c in playing}, []
        for _ in range(2 * rounds):
            for c in playing:
                if len(kept[c]) < rounds:
                    times, outside = slice_of(self.engines[c], work.request, seconds)
                    (kept if outside < OUTSIDE else noisy)[c].append(statistics.median(times))
            roofs.append(roofline.measure(self.threads, 0.2))
            if all(len(k) >= rounds for k in kept.values()):
                break
        result = {}
        for c in playing:
            times = kept[c] or noisy[c]
            result[c] = {"ms": statistics.median(times), "low": min(times), "high": max(times), "error": error[c],
                         "dropped": len(noisy[c]), "rough": not kept[c]}
        return result, roofline.median(roofs)

    def memory(self):
        return {c: e.ask(op="memory") for c, e in self.engines.items()}
