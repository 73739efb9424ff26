"""llama.cpp's library, and ik_llama.cpp's, through their C interface by ctypes.

    llama.py FLAVOUR FOLDER MODEL.gguf THREADS SETTINGS CONTEXT VOCAB      FLAVOUR: llama.cpp or ik_llama.cpp

SETTINGS: words with commas between them: flash (attention without a matrix of scores), repack (ik_llama.cpp: weights laid out anew in memory
at load, as its option -rtr does).

Structures of parameters are passed by value and differ from version to version. They are handled as bytes larger than any of them
(a callee reads its part of the stack only), and a field's place is checked against the default that is known to be there.
"""
import ctypes as C
import glob
import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from peers import serve  # noqa: E402


class Bytes(C.Structure):
    """Any structure."""
    _fields_ = [("bytes", C.c_ubyte * 1024)]


# Fields of llama_context_params: (name, default); None is not checked. The first that fits is taken.
LAYOUTS = {
    "llama.cpp": [
        # release v0.5.0, as in @node-llama-cpp/linux-x64 3.22
        [("n_ctx", 512), ("n_batch", 2048), ("n_ubatch", 512), ("n_seq_max", 1), ("n_rs_seq", 0), ("n_outputs_max", 0), ("", 1), ("n_threads", 4),
         ("n_threads_batch", 4), ("ctx_type", 0), ("rope", -1), ("pooling", -1), ("attention", -1), ("flash", -1)],
        [("n_ctx", 512), ("n_batch", 2048), ("n_ubatch", 512), ("n_seq_max", 1), ("n_rs_seq", 0), ("n_outputs_max", 0), ("n_threads", 4),
         ("n_threads_batch", 4), ("ctx_type", 0), ("rope", -1), ("pooling", -1), ("attention", -1), ("flash", -1)],
        # late 2025
        [("n_ctx", 512), ("n_batch", 2048), ("n_ubatch", 512), ("n_seq_max", 1), ("n_threads", 4), ("n_threads_batch", 4), ("rope", -1),
         ("pooling", -1), ("attention", -1), ("flash", -1)],
    ],
    "ik_llama.cpp": [
        # August 2026
        [("seed", None), ("n_ctx", 512), ("n_batch", 2048), ("n_ubatch", 512), ("n_seq_max", 1), ("n_threads", 4), ("n_threads_batch", 4),
         ("max_extra_alloc", 256), ("worst_case_tokens", 0), ("rope", -1), ("pooling", -1), ("attention", -1)],
    ],
}
# Fields of one byte: (structure, field) -> (offset, the bytes known to be there from it on). llama.cpp has none that matter.
FLAGS = {
    "llama.cpp": {},
    "ik_llama.cpp": {
        ("context", "flash"): (151, (1,)),          # logits_all, embeddings, offload_kqv, flash_attn from 148 on; then mla_attn, 3
        ("model", "repack"): (172, (0, 0)),         # vocab_only, use_mmap, use_mlock, check_tensors, repack_tensors, use_thp from 168 on
    },
}


def open_libraries(folder):
    """ggml first, with its CPU backends where they are files of their own: the loader takes the best for this machine."""
    def find(pattern):
        found = sorted(p for p in glob.glob(os.path.join(folder, "**", pattern), recursive=True) if os.path.isfile(p))
        return found[0] if found else None
    ggml = None
    for pattern in ("libggml-base*.so*", "libggml.*so*", "libggml.so"):
        if find(pattern):
            ggml = C.CDLL(find(pattern), mode=C.RTLD_GLOBAL)
    if hasattr(ggml, "ggml_backend_load_all_from_path"):
        ggml.ggml_backend_load_all_from_path(folder.encode())
    path = find("libllama.v*.so") or find("libllama.so*")
    if not path:
        sys.exit(f"no libllama in {folder}")
    return C.CDLL(path, mode=C.RTLD_GLOBAL), ggml


def fields(flavour, params):
    """Name -> offset, of the layout whose defaults are found in the bytes."""
    for layout in LAYOUTS[flavour]:
        values = struct.unpack_from(f"<{len(layout)}i", bytes(params.bytes))
        if all(default in (None, v) for v, (_, default) in zip(values, layout)):
            return {name: 4 * i for i, (name, _) in enumerate(layout)}
    sys.exit(unknown(flavour))


def unknown(flavour):
    return f"this version of {flavour} has other parameters than those known here; add its layout to peers/llama.py"


def set_flag(flavour, structure, name, params, value):
    """A field of one byte, if this flavour has it. True when it has."""
    at, known = FLAGS[flavour].get((structure, name), (None, None))
    if at is None:
        return False
    if tuple(params.bytes[at:at + len(known)]) != known:
        sys.exit(unknown(flavour))
    params.bytes[at] = value
    return True


class Llama:
    def __init__(self, flavour, folder, path, threads, settings, context, vocab):
        self.flavour, self.vocab, self.batches, flash = flavour, vocab, {}, int("flash" in settings)
        self.lib, ggml = open_libraries(folder)
        self.quiet = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)(lambda level, text, data: None)
        self.lib.llama_log_set(self.quiet, None)
        self.lib.llama_backend_init()
        for name, result, args in (
                ("llama_model_default_params", Bytes, []), ("llama_context_default_params", Bytes, []),
                ("llama_model_load_from_file", C.c_void_p, [C.c_char_p, Bytes]), ("llama_init_from_model", C.c_void_p, [C.c_void_p, Bytes]),
                ("llama_batch_get_one", Bytes, None), ("llama_decode", C.c_int, [C.c_void_p, Bytes]),
                ("llama_get_logits_ith", C.POINTER(C.c_float), [C.c_void_p, C.c_int])):
            f = getattr(self.lib, name)
            f.restype = result
            if args is not None:
                f.argtypes = args
        params = self.lib.llama_model_default_params()
        set_flag(flavour, "model", "repack", params, int("repack" in settings))
        self.model = self.lib.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f"{flavour} cannot load {path}")
        params = self.lib.llama_context_default_params()
        at = fields(flavour, params)
        values = {"n_ctx": context, "n_batch": context, "n_ubatch": 512, "n_threads": threads, "n_threads_batch": threads}
        if not set_flag(flavour, "context", "flash", params, flash):
            values["flash"] = flash
        for name, value in values.items():
            struct.pack_into("<i", params.bytes, at[name], value)
        self.context = self.lib.llama_init_from_model(self.model, params)
        if not self.context:
            sys.exit(f"{flavour} makes no context")
        self.start_threads(threads)
        if hasattr(self.lib, "llama_get_memory"):
            self.lib.llama_get_memory.restype = C.c_void_p
            self.lib.llama_get_memory.argtypes = [C.c_void_p]
            self.memory, self.remove = self.lib.llama_get_memory(self.context), self.lib.llama_memory_seq_rm
        else:  # before the middle of 2025, and ik_llama.cpp
            self.memory, self.remove = self.context, self.lib.llama_kv_cache_seq_rm
        self.remove.argtypes = [C.c_void_p, C.c_int, C.c_int, C.c_int]
        self.remove.restype = C.c_bool

    def start_threads(self, threads):
        """Threads that stay from call to call, as llama.cpp's own programs have them; they are put to sleep between requests."""
        self.pool, base = None, C.CDLL(None)
        cpu = [C.CDLL(line.split()[-1]) for line in open("/proc/self/maps") if "libggml-cpu" in line and " 00000000 " in line]
        if not cpu or not hasattr(base, "ggml_threadpool_params_init"):
            return
        params, self.cpu = Bytes(), cpu[0]
        base.ggml_threadpool_params_init(C.byref(params), threads)
        self.cpu.ggml_threadpool_new.restype = C.c_void_p
        self.pool = C.c_void_p(self.cpu.ggml_threadpool_new(C.byref(params)))
        self.lib.llama_attach_threadpool.argtypes = [C.c_void_p] * 3
        self.lib.llama_attach_threadpool(self.context, self.pool, self.pool)

    def rest(self):
        if self.pool:
            self.cpu.ggml_threadpool_pause(self.pool)

    def forget(self, at):
        """Drops what the cache has from position `at` on."""
        if not self.remove(self.memory, 0, at, -1):
            sys.exit("the cache's end cannot be dropped")

    def batch(self, n, at):
        """Room for n tokens, and the structure that passes them. ik_llama.cpp is told where they stand, llama.cpp knows and looks at no more."""
        where = at if self.flavour == "ik_llama.cpp" else 0
        if (n, where) not in self.batches:
            ids = (C.c_int32 * n)()
            self.batches[n, where] = ids, self.lib.llama_batch_get_one(ids, n, where, 0)
        return self.batches[n, where]

    def decode(self, ids, at):
        room, batch = self.batch(len(ids), at)
        room[:] = ids
        if self.lib.llama_decode(self.context, batch) != 0:
            sys.exit("llama_decode failed")
        return self.lib.llama_get_logits_ith(self.context, -1)

    def run(self, work):
        at = work.get("at", 0)
        ids = serve.tokens(at + work["n"], self.vocab)
        self.forget(at)
        if work["do"] == "prefill":
            return self.decode(ids, 0)
        for pos in range(at, at + work["n"]):
            logits = self.decode(ids[pos:pos + 1], pos)
        return logits

    def output(self, work):
        return np.ctypeslib.as_array(self.run(work), (self.vocab,)).copy()


def main():
    flavour, folder, path, threads, settings, context, vocab = sys.argv[1:]
    before = serve.begin_memory()
    engine = Llama(flavour, folder, path, int(threads), settings.split(","), int(context), int(vocab))
    serve.serve(engine, flavour, before)


if __name__ == "__main__":
    main()
