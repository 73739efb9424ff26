"""aigc: the shared library that `aigc build` makes of a model, called through ctypes.

    aigc.py LIBRARY PREFIX WEIGHTS THREADS JSON

JSON: {"entry", "dims", "inputs": [{"name", "dtype", "shape", "file"}]} for one call of an entry ("forward"), or {"vocab": n} for
language models with an entry next(tokens, pos)."""
import ctypes as C
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from peers import serve  # noqa: E402

# runtime/abi.h and runtime/aigc.h
DTYPES = {"float32": 1, "int64": 4, "int32": 5}
NUMPY = {1: np.float32, 4: np.int64, 5: np.int32}


class Tensor(C.Structure):
    _fields_ = [("data", C.c_void_p), ("dtype", C.c_uint8), ("rank", C.c_uint8), ("dims", C.c_int64 * 8)]


class Options(C.Structure):
    _fields_ = [("n_threads", C.c_uint32), ("all_threads", C.c_bool), ("seed", C.c_uint64), ("externs", C.c_void_p), ("arena_bytes", C.c_int64)]


def tensor(x):
    return Tensor(x.ctypes.data, DTYPES[str(x.dtype)], x.ndim, (C.c_int64 * 8)(*x.shape))


class Model:
    def __init__(self, library, prefix, weights, threads):
        self.lib, self.error, self.arena, self.tensors = C.CDLL(library), C.create_string_buffer(512), 0, 0
        self.lib.aigc_error_message.restype = C.c_char_p
        self.model = C.c_void_p(C.addressof(C.c_char.in_dll(self.lib, prefix + "_model")))
        f, w, self.context = C.c_void_p(), C.c_void_p(), C.c_void_p()
        self.check("weights_file_open", weights.encode(), C.byref(f))
        self.check("weights_load", self.model, f, None, C.byref(w))
        # An arena of 1 byte: what a call needs is reserved when it comes.
        self.check("aigc_context_create", self.model, w, C.byref(Options(threads, False, 0, None, 1)), C.byref(self.context))

    def check(self, name, *args):
        if getattr(self.lib, name)(*args, self.error) != 0:
            sys.exit(f"{name}: {self.error.value.decode()}")

    def facts(self):
        """Bytes of the arena, and of the caller's own tensors: arguments and results."""
        return {"arena": self.arena, "tensors": self.tensors}

    def prepare(self, entry, dims, inputs, n_results):
        """A function that calls the entry, and the arrays its results come in. Allocates everything now."""
        number = self.lib.aigc_entry_find(self.model, entry.encode())
        if number < 0:
            sys.exit(f"no entry {entry}")
        args, results = (Tensor * len(inputs))(*map(tensor, inputs)), (Tensor * n_results)()
        dims, bytes_ = (C.c_int64 * max(1, len(dims)))(*dims), C.c_int64()

        def done(status):
            if status != 0:
                sys.exit(self.lib.aigc_error_message(self.context).decode())
        done(self.lib.aigc_call_sizes(self.context, number, dims, args, len(inputs), results, n_results, C.byref(bytes_)))
        done(self.lib.aigc_reserve(self.context, bytes_))
        self.arena = max(self.arena, bytes_.value)
        arrays = [np.zeros(tuple(r.dims[:r.rank]), NUMPY[r.dtype]) for r in results]
        self.tensors += sum(x.nbytes for x in (*inputs, *arrays))
        for r, x in zip(results, arrays):
            r.data = x.ctypes.data
        call = self.lib.aigc_call

        def run():
            status = call(self.context, number, dims, args, len(inputs), results, n_results)
            if status != 0:
                done(status)
        run.keep, run.dims = inputs, dims
        return run, arrays


class Forward:
    def __init__(self, model, about):
        self.facts = model.facts
        self.inputs = [np.fromfile(i["file"], i["dtype"]).reshape(i["shape"]) for i in about["inputs"]]
        self.call, self.results = model.prepare(about["entry"], about["dims"], self.inputs, about["n_results"])

    def run(self, work):
        self.call()

    def output(self, work):
        self.call()
        return self.results[0]


class Language:
    def __init__(self, model, about):
        self.model, self.vocab, self.prompts = model, about["vocab"], {}
        self.facts = model.facts
        self.token = np.zeros(1, np.int32)
        self.step, self.logits = model.prepare("next", [0], [self.token], 1)

    def run(self, work):
        if work["do"] == "prefill":
            if work["n"] not in self.prompts:
                ids = np.array(serve.tokens(work["n"], self.vocab), np.int32)
                self.prompts[work["n"]] = self.model.prepare("next", [0], [ids], 1)
            call, results = self.prompts[work["n"]]
            call()
            return results[0]
        ids = serve.tokens(work["at"] + work["n"], self.vocab)
        for pos in range(work["at"], work["at"] + work["n"]):
            self.token[0], self.step.dims[0] = ids[pos], pos
            self.step()
        return self.logits[0]

    output = run


def main():
    library, prefix, weights, threads, about = sys.argv[1:]
    about, before = json.loads(about), serve.begin_memory()
    model = Model(library, prefix, weights, int(threads))
    engine = Language(model, about) if "vocab" in about else Forward(model, about)
    serve.serve(engine, "aigc", before)


if __name__ == "__main__":
    main()
