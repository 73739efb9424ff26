"""All that is measured: which model, which engines, which work, and what the project aims at."""
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field

from harness import files, llama_file
from peers import install

BF16 = ("amx_bf16", "dot_bf16", "fma_f32")
PEAKS = {"f32": ("fma_f32",), "bf16": BF16, "q8_0": ("dot_int8", "fma_f32"), "q4_0": ("dot_int8", "fma_f32")}


@dataclass(frozen=True)
class Contender:
    name: str      # with its settings
    peer: str      # without
    command: tuple
    env: dict = field(default_factory=dict, hash=False)
    ours: bool = False


@dataclass
class Work:
    label: str
    request: dict
    flops: float
    bytes: float
    peaks: tuple
    tokens: int = 0  # of one run: speed is then told in tokens a second
    targets: dict = field(default_factory=dict)  # peer, "best" or "roofline" -> ratio of its time to ours, or share
    seconds: float = 0.3  # of a slice


class Settings:
    """Of this run of the bench."""
    aigc = os.path.join(files.BENCH, "../build/aigc")


def math_options(math):
    """`--math bf16`, or nothing where this aigc does not know of it."""
    words = subprocess.run([Settings.aigc, "build", "--help"], stdout=subprocess.PIPE, text=True).stdout
    return ["--math", math] if math != "f32" and "--math" in words else []


def build_ours(name, model, weights, prefix, options=()):
    """The shared library of a model."""
    to = files.cached("built", name + ".so")
    made = subprocess.run([Settings.aigc, "build", model, "--weights", weights, "--emit", "shared", "-o", to, "--name", prefix, *options],
                          stderr=subprocess.PIPE, text=True)
    if made.returncode != 0:
        raise RuntimeError(f"aigc build {model}: {made.stderr.strip()}")
    return to


def states_bytes(model, options):
    """What a model's states take, as `aigc inspect` says."""
    text = subprocess.run([Settings.aigc, "inspect", model, *options], stdout=subprocess.PIPE, text=True).stdout
    found = re.search(r"^states:\n(?:  .*\n)*?  ([0-9.]+) ([KMG]?)B$", text, re.M)
    return float(found[1]) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[found[2]] if found else 0


def python_of(*command):
    return (sys.executable, *(str(c) for c in command))


def peer_file(name):
    return os.path.join(files.BENCH, "peers", name)


def _openmp(threads):
    """Threads of OpenMP and OpenBLAS that sleep at barriers: spinning ones starve each other on shared cores."""
    return {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}


class Network:
    """One call of a model exported from PyTorch, against ONNX Runtime, and in bf16 against PyTorch's oneDNN as well."""

    def __init__(self, name, title, model, family, targets, math="f32", options=(), defines=()):
        self.name, self.title, self.model, self.family, self.targets = name, title, model, family, targets
        self.math, self.options, self.defines = math, options, defines

    def prepare(self):
        exported = "-".join([self.model, *(o.split("=")[1] for o in self.options)])
        path = files.model_file("onnx", exported, "model.json")
        self.about = files.read_json(path)
        from harness import export
        moved = self.about and os.path.dirname(self.about["weights"]) != os.path.dirname(path)
        if not self.about or moved or self.about["version"] != export.version(self.model):
            print(f"exporting {exported}", flush=True)
            done = subprocess.run([install.torch_python(), "-W", "ignore", peer_file("../harness/export.py"), exported, self.model, *self.options],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"export of {exported}: {done.stderr.strip().splitlines()[-1]}")
            self.about = files.read_json(path)
        self.about_path = path

    def source(self):
        """What only the PyTorch module's file knows, read without loading PyTorch."""
        found = {}
        with open(os.path.join(files.BENCH, "models", self.model + ".py")) as f:
            line = next(x for x in f if x.startswith("AIGC, ENTRY, DIMS"))
        exec(line, found)  # noqa: S102 -- a line of our own source
        return os.path.join(files.BENCH, "models", found["AIGC"]), found["ENTRY"], found["DIMS"]

    def contenders(self, threads):
        model, entry, dims = self.source()
        a = self.about
        options = [x for d in self.defines for x in ("-D", d)] + math_options(self.math)
        library = build_ours(self.name, model, os.path.dirname(a["weights"]) if os.path.exists(
            os.path.join(os.path.dirname(a["weights"]), "model.safetensors")) else a["weights"], "bench", options)
        about = {"entry": entry, "dims": dims, "inputs": a["inputs"], "n_results": len(a["outputs"])}
        yield Contender("aigc " + " ".join(math_options(self.math)) if math_options(self.math) else "aigc", "aigc",
                        python_of(peer_file("aigc.py"), library, "bench", a["weights"], threads, json.dumps(about)), ours=True)
        if install.node_modules("onnxruntime-node"):
            yield Contender("ONNX Runtime", "ONNX Runtime", ("node", peer_file("ort.js"), self.about_path, str(threads)),
                            {"AIGC_BENCH_NODE": install.node_modules("onnxruntime-node")})
        if self.math == "bf16" and install.torch_python():
            yield Contender("torch bf16", "torch bf16", (install.torch_python(), peer_file("torch_engine.py"), self.about_path, "bf16", str(threads)),
                            _openmp(threads))

    def works(self):
        yield Work("forward", {"do": "forward"}, self.about["flops"], self.about["weight_bytes"] if self.math == "f32" else
                   self.about["weight_bytes"] / 2, PEAKS[self.math], targets=self.targets)

    def weights(self):
        """(bytes of all weights, the model's source, options): what inspect is asked about."""
        return self.about["weight_bytes"], self.source()[0], [x for d in self.defines for x in ("-D", d)]


class Product(Network):
    """A product of x [m, k] with weights [n, k]; oneDNN plays as well."""

    def __init__(self, m, k, n):
        super().__init__(f"product-{m}x{k}x{n}", f"{m} rows, {k} to {n}", "product", "Products in f32", {"roofline": 0.93},
                         options=(f"m={m}", f"k={k}", f"n={n}"), defines=(f"k={k}", f"n={n}"))

    def contenders(self, threads):
        yield from super().contenders(threads)
        if install.torch_python():
            yield Contender("oneDNN", "oneDNN", (install.torch_python(), peer_file("torch_engine.py"), self.about_path, "f32", str(threads)),
                            _openmp(threads))


LLAMA_SETTINGS = {  # what each is tried with: as its users name it -> as peers/llama.py does
    "llama.cpp": {"": "", ", flash attention": "flash"},
    "ik_llama.cpp": {", flash attention": "flash", ", flash attention, repacked": "flash,repack"},
}


class Language:
    """A Llama of random weights in one storage: a prompt at once, then token after token."""
    family = "Llama"
    PROMPT = {"15m": 128, "110m": 512, "1.1b": 512}
    STEPS = {"15m": 32, "110m": 16, "1.1b": 8}
    PREFILL = {"1.1b": {"f32": 1.5, "bf16": 5, "q8_0": 2.5, "q4_0": 2.5}}
    DECODE = {"15m": {"best": 2.0}, "110m": {"best": 1.15}, "1.1b": {"roofline": 0.93}}

    def __init__(self, size, storage):
        self.size, self.storage = size, storage
        self.name, self.title = f"llama-{size}-{storage}", f"Llama {size.upper()} {storage}"

    def prepare(self):
        self.path = llama_file.path(self.size, self.storage)

    def contenders(self, threads):
        math = math_options("bf16" if self.storage == "bf16" else "f32")
        library = build_ours(self.name, os.path.join(files.BENCH, "../examples/llama/llama.aigc"), self.path, "bench", math)
        about = json.dumps({"vocab": llama_file.VOCAB})
        yield Contender(" ".join(["aigc", *math]), "aigc", python_of(peer_file("aigc.py"), library, "bench", self.path, threads, about), ours=True)
        for flavour, folder in install.llama_folders():
            for name, settings in LLAMA_SETTINGS[flavour].items():
                yield Contender(flavour + name, flavour, python_of(
                    peer_file("llama.py"), flavour, folder, self.path, threads, settings, llama_file.CONTEXT, llama_file.VOCAB))

    def weights(self):
        return os.path.getsize(self.path), os.path.join(files.BENCH, "../examples/llama/llama.aigc"), ["--weights", self.path]

    def works(self):
        prompt, steps, n = self.PROMPT[self.size], self.STEPS[self.size], llama_file.matrices(self.size)
        d, layers, heads, kv, _ = llama_file.SHAPES[self.size]
        head = llama_file.VOCAB * d  # for the last token alone
        weights = n * files.STORAGES[self.storage][1] / 32
        attention = 4 * layers * d * prompt * (prompt + 1) / 2
        ratio = self.PREFILL.get(self.size, {}).get(self.storage)
        yield Work(f"prefill {prompt}", {"do": "prefill", "n": prompt}, 2 * ((n - head) * prompt + head) + attention, weights,
                   PEAKS[self.storage], prompt, {"best": ratio} if ratio else {})
        cache = layers * 2 * kv * (d // heads) * 4 * steps / 2
        yield Work("decode", {"do": "decode", "at": 0, "n": steps}, 2 * n * steps, (weights + cache) * steps, PEAKS[self.storage], steps,
                   self.DECODE[self.size])


ORT = "ONNX Runtime"
CASES = [
    *(Product(m, k, n) for m in (128, 512) for k, n in ((768, 768), (768, 3072), (3072, 768), (2048, 8192), (288, 768))),
    Network("gpt2", "GPT-2 124M, 128 tokens, f32", "gpt2", "Transformers", {"best": 1.4}),
    Network("bert", "BERT-base, 128 tokens, f32", "bert", "Transformers", {"best": 1.4}),
    Network("gpt2-bf16", "GPT-2 124M, 128 tokens, bf16", "gpt2", "Transformers", {ORT: 4.0, "torch bf16": 2.0}, math="bf16"),
    Network("bert-bf16", "BERT-base, 128 tokens, bf16", "bert", "Transformers", {ORT: 4.0, "torch bf16": 2.0}, math="bf16"),
    Network("unet-32", "DDPM U-Net, 32 x 32", "unet", "Pictures and sequences", {"best": 1.35}, options=("side=32",), defines=("side=32",)),
    Network("unet-64", "DDPM U-Net, 64 x 64", "unet", "Pictures and sequences", {"best": 1.35}, options=("side=64",), defines=("side=64",)),
    Network("resnet18", "ResNet-18, 224 x 224", "resnet18", "Pictures and sequences", {"best": 1.1}),
    Network("dcgan", "DCGAN generator, 64 x 64", "dcgan", "Pictures and sequences", {"best": 1.5}),
    Network("vae", "VAE decoder, 64 x 64", "vae", "Pictures and sequences", {"best": 1.5}),
    Network("lstm", "LSTM 2 x 512, 100 steps", "lstm", "Pictures and sequences", {"best": 1.5}),
    *(Language(size, storage) for size in llama_file.SHAPES for storage in files.STORAGES),
]
