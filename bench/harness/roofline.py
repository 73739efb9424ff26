"""What the machine can do at most, measured now: compiles and runs bench/roofline.c, the loops of cli/roofline.c."""
import json
import os
import statistics
import subprocess

from harness import files

NAMES = {"fma_f32": "FMA f32", "dot_bf16": "bf16 dot products", "dot_int8": "int8 dot products", "amx_bf16": "AMX bf16", "read": "memory read"}


SOURCES = ("bench/roofline.c", "cli/roofline.c", "runtime/cpu.c", "runtime/threads.c")


def measure(threads, seconds=1.25):
    """{"fma_f32": FLOP/s, ..., "read": bytes/s} of so many threads together; 0 for what the CPU does not have."""
    top = os.path.dirname(files.BENCH)
    sources, program = [os.path.join(top, s) for s in SOURCES], files.cached("roofline")
    if not os.path.exists(program) or os.path.getmtime(program) < max(map(os.path.getmtime, sources)):
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-pthread", "-I", top, *sources, "-o", program], check=True)
    return json.loads(subprocess.run([program, str(threads), str(seconds)], check=True, stdout=subprocess.PIPE).stdout)


def median(roofs):
    """Of several measurements, peak by peak."""
    return {k: statistics.median(r[k] for r in roofs) for k in roofs[0]}


def ideal_ms(roof, work):
    """The least time for the work: its arithmetic at the peak, or its bytes at the memory's rate, whichever is longer."""
    peak = max(roof[p] for p in work.peaks) or roof["fma_f32"]
    return 1e3 * max(work.flops / peak, work.bytes / roof["read"])


def describe(roof):
    words = [f"{NAMES[k]} {roof[k] / 1e9:.0f} {'GB/s' if k == 'read' else 'GFLOP/s'}" for k in NAMES if roof[k]]
    return f"{roof['threads']} thread{'s' if roof['threads'] > 1 else ''}: " + ", ".join(words)
