"""PyTorch on a module of bench/models: torch_engine.py MODEL_JSON DTYPE THREADS. bf16, and f32 of products alone, are oneDNN's work."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from peers import serve  # noqa: E402


class Torch:
    def __init__(self, about, dtype, threads):
        import importlib

        import torch
        from harness import export
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.module = export.build(about["model"], about["options"])
        inputs = importlib.import_module("models." + about["model"]).inputs(**about["options"])
        if dtype == "bf16":
            self.module = self.module.bfloat16()
            inputs = {k: x.bfloat16() if x.is_floating_point() else x for k, x in inputs.items()}
        else:
            from torch.utils import mkldnn
            self.module = mkldnn.to_mkldnn(self.module)
        self.inputs = list(inputs.values())

    def run(self, work):
        return self.module(*self.inputs)

    def output(self, work):
        out = self.run(work)
        return (out[0] if isinstance(out, tuple) else out).float().numpy()


def main():
    path, dtype, threads = sys.argv[1:]
    before = serve.begin_memory()
    with open(path) as f:
        engine = Torch(json.load(f), dtype, int(threads))
    serve.serve(engine, "torch", before)


if __name__ == "__main__":
    main()
