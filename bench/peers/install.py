"""Where the peers are, and how they come here: only on request (./dev bench --install)."""
import functools
import os
import shutil
import subprocess
import sys

from harness import files

PACKAGES = ("onnxruntime-node", "@node-llama-cpp/linux-x64")


def install():
    """npm's packages into bench/node_modules, without running their scripts; PyTorch with apt-get, as root or through sudo."""
    if shutil.which("npm"):
        subprocess.run(["npm", "install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--prefix", files.BENCH, *PACKAGES], check=True)
    else:
        print("npm is not here: no ONNX Runtime, no llama.cpp (apt-get install nodejs npm)")
    if not torch_python() and shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*sudo, "apt-get", "install", "-y", "-q", "--no-install-recommends", "python3-torch", "python3-numpy"], check=True)
        torch_python.cache_clear()


def node_modules(package):
    """The node_modules folder that has it, or None. AIGC_BENCH_NODE names another than bench/node_modules."""
    for folder in (os.environ.get("AIGC_BENCH_NODE"), os.path.join(files.BENCH, "node_modules")):
        if folder and os.path.isdir(os.path.join(folder, package)) and shutil.which("node"):
            return folder
    return None


@functools.lru_cache(None)
def torch_python():
    """A Python that has PyTorch, or None."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import torch"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def llama_folders():
    """(flavour, folder of its libraries). AIGC_BENCH_IK: a folder in which ik_llama.cpp was built."""
    root = node_modules("@node-llama-cpp/linux-x64")
    if root:
        yield "llama.cpp", os.path.join(root, "@node-llama-cpp/linux-x64/bins/linux-x64")
    if os.environ.get("AIGC_BENCH_IK"):
        yield "ik_llama.cpp", os.environ["AIGC_BENCH_IK"]


def versions():
    found = []
    for package in PACKAGES:
        root = node_modules(package)
        about = files.read_json(os.path.join(root, package, "package.json")) if root else None
        found.append(f"{package} {about['version']}" if about else f"{package} left out (not installed)")
    if os.environ.get("AIGC_BENCH_IK"):
        found.append("ik_llama.cpp (built here)")
    python = torch_python()
    if python:
        v = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], stdout=subprocess.PIPE, text=True).stdout.strip()
        found.append(f"torch {v}")
    return found
