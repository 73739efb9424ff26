"""From a PyTorch module of bench/models to what all engines read: model.onnx, weights.safetensors, inputs, and model.json.

Run as a process of its own, since PyTorch is large: python3 export.py NAME [KEY=VALUE ...]. Weights are PyTorch's own initial ones,
those of a fixed seed; BatchNorm's statistics are made uneven, so that a wrong one shows.
"""
import hashlib
import importlib
import inspect
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import files  # noqa: E402


def build(model, options):
    """The module of bench/models/<model>.py with its weights. options: those of its `inputs`, of which `module` may take some."""
    import torch
    torch.manual_seed(1)
    make = importlib.import_module("models." + model).module
    made = make(**{k: v for k, v in options.items() if k in inspect.signature(make).parameters})
    with torch.no_grad():
        for name, p in made.named_parameters():
            if "Conv1D" in type(made.get_submodule(name.rpartition(".")[0])).__name__ and p.dim() == 2:
                p.normal_(0, 0.02)
            if p.dim() == 2 and "emb" in name or name in ("wte.weight", "wpe.weight"):
                p.normal_(0, 0.02)
        for name, b in made.named_buffers():
            if name.endswith("running_mean"):
                b.normal_(0, 0.1)
            if name.endswith("running_var"):
                b.uniform_(0.7, 1.3)
    return made.eval()


def count_flops(module, inputs):
    """Multiplications and additions of all products and convolutions of one call."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    total = 0

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, f, types, args=(), kwargs=None):
            nonlocal total
            out, name = f(*args, **(kwargs or {})), f.__name__.split(".")[0]
            if name in ("mm", "bmm", "addmm", "baddbmm"):
                total += 2 * out.numel() * args[-2].shape[-1]
            elif name in ("convolution", "_convolution"):
                weight, transposed = args[1], args[6]
                total += 2 * (args[0] if transposed else out).numel() * weight[0].numel()
            return out

    with torch.no_grad(), Counter():
        module(*inputs)
    return total


def export(name, model, options):
    import numpy as np
    import torch
    source = importlib.import_module("models." + model)
    module, inputs = build(model, options), source.inputs(**options)
    folder = files.model_file("onnx", name, "model.json")[:-len("model.json")]
    weights = {k: v.numpy() for k, v in module.state_dict().items()}
    files.write_safetensors(folder + "weights.safetensors", weights)
    if hasattr(source, "META"):
        files.write_json(folder + "config.json", source.META)
    with torch.no_grad():
        outputs = module(*inputs.values())
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        torch.onnx.export(module, tuple(inputs.values()), folder + "model.onnx", input_names=list(inputs), do_constant_folding=True,
                          output_names=[f"out{i}" for i in range(len(outputs))], opset_version=17)
    described = []
    for key, x in inputs.items():
        np.ascontiguousarray(x.numpy()).tofile(folder + key + ".bin")
        described.append({"name": key, "dtype": str(x.numpy().dtype), "shape": list(x.shape), "file": folder + key + ".bin"})
    files.write_json(folder + "model.json", {
        "name": name, "model": model, "options": options, "version": version(model), "inputs": described, "onnx": folder + "model.onnx",
        "weights": folder + "weights.safetensors", "outputs": [{"name": f"out{i}", "shape": list(o.shape)} for i, o in enumerate(outputs)],
        "flops": count_flops(module, list(inputs.values())), "weight_bytes": sum(w.nbytes for w in weights.values()),
        "n_weights": int(sum(w.size for w in weights.values()))})


def version(model):
    """Changes with what makes the files."""
    text = b"".join(open(os.path.join(files.BENCH, p), "rb").read() for p in (f"models/{model}.py", "harness/export.py"))
    return hashlib.sha256(text).hexdigest()[:16]


def main():
    name, model = sys.argv[1:3]
    export(name, model, {k: int(v) for k, v in (o.split("=") for o in sys.argv[3:])})


if __name__ == "__main__":
    main()
