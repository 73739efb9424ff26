#!/usr/bin/env python3
"""aigc against PyTorch on GPT-2 at the size of 124M, random weights: ./dev bench

    bench.py [--aigc build/aigc] [--threads 2] [--rounds 5]

Every measurement is a process of its own; engines take turns (A B A B ...), and medians are compared. Prints a table and writes it to
bench/results.md. What is not installed (numpy, python3-torch) is left out, and said to be.
"""
import argparse
import ctypes as C
import datetime
import json
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(HERE, ".cache")
MODEL = os.path.join(HERE, "../examples/gpt2/gpt2.aigc")
WEIGHTS = os.path.join(CACHE, "gpt2", "model.safetensors")
V, CTX, D, H, L = 50257, 1024, 768, 12, 12
PROMPT, TURNS = 128, 64
prompt = [(i * 7919 + 13) % V for i in range(PROMPT)]


def shapes():
    yield "wte.weight", (V, D)
    yield "wpe.weight", (CTX, D)
    for i in range(L):
        p = f"h.{i}."
        for name, shape in (("ln_1", (D,)), ("ln_2", (D,)), ("attn.c_attn", (D, 3 * D)), ("attn.c_proj", (D, D)),
                            ("mlp.c_fc", (D, 4 * D)), ("mlp.c_proj", (4 * D, D))):
            yield p + name + ".weight", shape
            yield p + name + ".bias", shape[-1:]
    yield "ln_f.weight", (D,)
    yield "ln_f.bias", (D,)


def make_weights():
    """About as large as trained ones, so that no value is denormal."""
    import numpy as np
    if os.path.exists(WEIGHTS):
        return
    os.makedirs(os.path.dirname(WEIGHTS), exist_ok=True)
    rng, header, at = np.random.default_rng(1), {}, 0
    for name, shape in shapes():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(WEIGHTS + ".part", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes():
            ln = ".ln_" in "." + name and name.endswith("weight")
            f.write((rng.standard_normal(shape, dtype=np.float32) * np.float32(0.04) + np.float32(ln)).tobytes())
    os.rename(WEIGHTS + ".part", WEIGHTS)
    with open(os.path.join(CACHE, "gpt2", "config.json"), "w") as f:
        json.dump({"vocab_size": V, "n_positions": CTX, "n_embd": D, "n_head": H, "n_layer": L}, f)


# Engines: a function step(ids, pos) -> the likeliest next id ------------------------------------

def engine_aigc(threads):
    """The shared library that `aigc build` makes, through ctypes."""
    import numpy as np

    class Options(C.Structure):
        _fields_ = [("n_threads", C.c_uint32), ("seed", C.c_uint64), ("externs", C.c_void_p), ("arena_bytes", C.c_int64)]

    lib, err = C.CDLL(os.path.join(CACHE, "gpt2.so")), C.create_string_buffer(512)
    model = C.addressof(C.c_char.in_dll(lib, "gpt2_model"))

    def call(name, *args):
        if getattr(lib, name)(*args, err) != 0:
            sys.exit(f"{name}: {err.value.decode()}")

    f, w, c = C.c_void_p(), C.c_void_p(), C.c_void_p()
    call("weights_file_open", WEIGHTS.encode(), C.byref(f))
    call("weights_load", C.c_void_p(model), f, None, C.byref(w))
    call("aigc_context_create", C.c_void_p(model), w, C.byref(Options(threads, 0, None, 0)), C.byref(c))
    entry = lib.aigc_entry_find(C.c_void_p(model), b"next")
    logits = np.empty(V, np.float32)
    results = (C.c_void_p * 1)(logits.ctypes.data)

    def step(ids, pos):
        tokens = np.array(ids, np.int32)
        if lib.aigc_call_bound(c, entry, (C.c_int64 * 2)(pos, len(ids)), (C.c_void_p * 1)(tokens.ctypes.data), results) != 0:
            sys.exit("aigc_call_bound failed")
        return int(logits.argmax())
    return step


def engine_torch(threads):
    import numpy as np
    import torch
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    data = np.memmap(WEIGHTS, np.uint8, "c")
    n = struct.unpack("<Q", data[:8].tobytes())[0]
    p = {k: torch.from_numpy(np.array(data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]].view(np.float32))).view(t["shape"])
         for k, t in json.loads(data[8:8 + n].tobytes()).items()}
    keys, values = torch.zeros(L, H, CTX, D // H), torch.zeros(L, H, CTX, D // H)
    layers = [{k.split(f"h.{i}.", 1)[1]: v for k, v in p.items() if k.startswith(f"h.{i}.")} for i in range(L)]
    norm, linear = torch.nn.functional.layer_norm, torch.addmm

    def step(ids, pos):
        t = len(ids)
        x = p["wte.weight"][torch.tensor(ids)] + p["wpe.weight"][pos:pos + t]
        for i, w in enumerate(layers):
            h = norm(x, (D,), w["ln_1.weight"], w["ln_1.bias"])
            q, k, v = linear(w["attn.c_attn.bias"], h, w["attn.c_attn.weight"]).view(t, 3, H, D // H).permute(1, 2, 0, 3)
            keys[i, :, pos:pos + t], values[i, :, pos:pos + t] = k, v
            score = q @ keys[i, :, :pos + t].transpose(1, 2) / (D // H) ** 0.5
            if t > 1:
                score += torch.full((t, pos + t), -float("inf")).triu(1 + pos)
            y = (torch.softmax(score, -1) @ values[i, :, :pos + t]).transpose(0, 1).reshape(t, D)
            x = linear(w["attn.c_proj.bias"], y, w["attn.c_proj.weight"]) + x
            h = linear(w["mlp.c_fc.bias"], norm(x, (D,), w["ln_2.weight"], w["ln_2.bias"]), w["mlp.c_fc.weight"])
            x = linear(w["mlp.c_proj.bias"], torch.nn.functional.gelu(h, approximate="tanh"), w["mlp.c_proj.weight"]) + x
        x = norm(x[-1], (D,), p["ln_f.weight"], p["ln_f.bias"])
        return int((p["wte.weight"] @ x).argmax())
    return step


# OpenMP's threads spin at its barriers unless told otherwise; where cores are shared that makes PyTorch more than ten times slower, and
# measures the machine, not PyTorch. OpenBLAS has threads of its own, of which torch.set_num_threads knows nothing: they are told apart.
KIND = {"OMP_WAIT_POLICY": "PASSIVE"}
ENGINES = {"aigc": engine_aigc, "torch": engine_torch}


def measure(name, threads):
    """In a process of its own: prefill of PROMPT tokens (ms, the median of 3 after a warm one), then TURNS tokens one by one (tokens/s)."""
    step = ENGINES[name](threads)
    ids, prefill = [step(prompt, 0)], []
    for _ in range(3):
        start = time.perf_counter()
        step(prompt, 0)
        prefill.append(1e3 * (time.perf_counter() - start))
    middle = time.perf_counter()
    for i in range(TURNS):
        ids.append(step(ids[-1:], PROMPT + i))
    end = time.perf_counter()
    print(json.dumps({"prefill": statistics.median(prefill), "decode": TURNS / (end - middle), "ids": ids}))


# The run ----------------------------------------------------------------------------------------

def timed(command, env=None):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    return 1e3 * (time.perf_counter() - start)


def compile_times(aigc, rounds):
    run = [aigc, "run", MODEL, "--weights", WEIGHTS, "--entry", "next", "--input", "tokens=1", "--input", "pos=0"]
    env, cold, cached = {"AIGC_CACHE_DIR": os.path.join(CACHE, "objects")}, [], []
    for _ in range(rounds):
        shutil.rmtree(env["AIGC_CACHE_DIR"], ignore_errors=True)
        cold.append(timed(run, env))
        cached.append(timed(run, env))
    build = [timed([aigc, "build", MODEL, "-o", os.path.join(CACHE, "gpt2.o"), "--no-cache"]) for _ in range(rounds)]
    return statistics.median(build), statistics.median(cold), statistics.median(cached)


def rows_of(found, key, unit, better):
    """Each engine with each number of threads; the ratio is to aigc with as many."""
    for (name, threads), runs in found.items():
        values, mine = [r[key] for r in runs], statistics.median(r[key] for r in found["aigc", threads])
        ratio = statistics.median(values) / mine if better == "less" else mine / statistics.median(values)
        verdict = "" if name == "aigc" else f"aigc is {ratio:.2f} x as fast" + (" (a miss)" if ratio < 1 else "")
        yield f"| {name}, {threads} threads | {statistics.median(values):.1f} {unit} | {min(values):.1f} to {max(values):.1f} | {verdict} |"


def cpu():
    try:
        return next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--aigc", default=os.path.join(HERE, "../build/aigc"))
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--one", choices=ENGINES)
    o = a.parse_args()
    if o.one:
        return measure(o.one, o.threads)
    names = ["aigc"]
    try:
        import numpy  # noqa: F401
    except ImportError:
        sys.exit("the benchmark needs numpy: apt-get install python3-numpy python3-torch")
    try:
        import torch
        names.append("torch")
        versions = f"torch {torch.__version__}"
    except ImportError:
        print("skipped: torch is not installed (apt-get install python3-torch)")
        versions = "torch left out"
    make_weights()
    build, cold, cached = compile_times(o.aigc, o.rounds)
    subprocess.run([o.aigc, "build", MODEL, "--weights", WEIGHTS, "-o", os.path.join(CACHE, "gpt2.so")], check=True)
    found = {(n, t): [] for t in dict.fromkeys((1, o.threads)) for n in names}
    load = [os.getloadavg()[0]]
    for _ in range(o.rounds):
        for n, t in found:
            r = subprocess.run([sys.executable, __file__, "--one", n, "--threads", str(t)], check=True, stdout=subprocess.PIPE,
                               env={**os.environ, **KIND, "OPENBLAS_NUM_THREADS": str(t), "OMP_NUM_THREADS": str(t)})
            found[n, t].append(json.loads(r.stdout))
    load.append(os.getloadavg()[0])
    ids = [found[names[0], o.threads][0]["ids"], found[names[-1], o.threads][0]["ids"]]
    same = next((i for i, (x, y) in enumerate(zip(*ids)) if x != y), len(ids[0]))
    lines = [
        "# Results", "",
        f"`./dev bench` of {datetime.date.today()}: {cpu()}, {versions}, {o.rounds} rounds taking turns, "
        "medians. GPT-2 at the size of 124M, f32, random weights, greedy.", "",
        f"Load of the machine: {load[0]:.1f} before, {load[1]:.1f} after, on {os.cpu_count()} cores. Greedy tokens equal: {same} of {len(ids[0])}."
        + (" **The machine was busy with other work: these numbers are rough, those with as many threads as cores most of all.**"
           if load[0] > 1 else ""), "",
        f"Prefill of {PROMPT} tokens:", "", "| | median | range | |", "|---|---|---|---|", *rows_of(found, "prefill", "ms", "less"), "",
        f"Decoding, {TURNS} tokens after these:", "", "| | median | range | |", "|---|---|---|---|", *rows_of(found, "decode", "tokens/s", "more"), "",
        "Time to compile:", "", "| | median |", "|---|---|", f"| `aigc build -o gpt2.o` | {build:.0f} ms |",
        f"| `aigc run` of one token, first time | {cold:.0f} ms |", f"| the same from the cache | {cached:.0f} ms |", "",
        "The last two include starting the process, and mapping and packing the weights.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    with open(os.path.join(HERE, "results.md"), "w") as f:
        f.write(text)


if __name__ == "__main__":
    main()
