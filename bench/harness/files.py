"""Where things are, and the two formats of weights that are written here: safetensors and GGUF."""
import json
import os
import struct

import numpy as np

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(BENCH, ".cache")
MODELS = os.environ.get("AIGC_BENCH_MODELS", CACHE)  # several checkouts may share what is large


def cached(*parts, root=CACHE):
    """A path in the cache; its folder exists."""
    path = os.path.join(root, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def model_file(*parts):
    """A path among the generated models."""
    return cached(*parts, root=MODELS)


def write_json(path, value):
    with open(path + ".part", "w") as f:
        json.dump(value, f, indent=1)
    os.rename(path + ".part", path)


def read_json(path, otherwise=None):
    try:
        with open(path) as f:
            return json.load(f)
    except (OSError, ValueError):
        return otherwise


SAFETENSORS_TYPES = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}


def write_safetensors(path, tensors):
    """tensors: name -> array of f32 or i64."""
    header, at = {}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": SAFETENSORS_TYPES[x.dtype], "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".part", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for x in tensors.values():
            f.write(np.ascontiguousarray(x).tobytes())
    os.rename(path + ".part", path)


# GGUF (ggml's docs/gguf.md): numbers of types of values and of tensors -------------------------------

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ALIGN = 32


def bf16_bytes(x):
    """Rounded to the nearest, ties to even."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16).tobytes()


def q8_0_bytes(x):
    """Blocks of 32: an f16 scale and 32 x i8."""
    x = x.reshape(-1, 32)
    scale = np.abs(x).max(1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    out = np.empty(len(x), [("scale", "<f2"), ("q", "i1", 32)])
    out["scale"], out["q"] = scale[:, 0], np.round(x * inverse)
    return out.tobytes()


def q4_0_bytes(x):
    """Blocks of 32: an f16 scale and 16 bytes, of which byte i holds numbers i and i + 16."""
    x = x.reshape(-1, 32)
    far = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1)
    scale = far / -8
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    q = np.minimum(x * inverse + 8.5, 15).astype(np.uint8)
    out = np.empty(len(x), [("scale", "<f2"), ("q", "u1", 16)])
    out["scale"], out["q"] = scale[:, 0], q[:, :16] | q[:, 16:] << 4
    return out.tobytes()


def f32_bytes(x):
    return x.tobytes()


# storage -> number of the type in GGUF, bytes of 32 numbers, encoder
STORAGES = {"f32": (0, 128, f32_bytes), "bf16": (30, 64, bf16_bytes), "q8_0": (8, 34, q8_0_bytes), "q4_0": (2, 18, q4_0_bytes)}


def _string(s):
    s = s.encode()
    return struct.pack("<Q", len(s)) + s


def _value(type_, v):
    if type_ == STRING:
        return _string(v)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[type_], v)


def write_gguf(path, values, tensors):
    """values: (key, type, value) or (key, ARRAY, (type, list)). tensors: (name, shape outermost first, storage, function that gives the f32 array)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, type_, v in values:
        head += _string(key) + struct.pack("<I", type_)
        head += struct.pack("<IQ", v[0], len(v[1])) + b"".join(_value(v[0], x) for x in v[1]) if type_ == ARRAY else _value(type_, v)
    at = 0
    for name, shape, storage, _ in tensors:
        number, bytes_of_32, _ = STORAGES[storage]
        head += _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), number, at)
        at += -(-int(np.prod(shape)) * bytes_of_32 // 32 // ALIGN) * ALIGN
    with open(path + ".part", "wb") as f:
        f.write(head + b"\0" * (-len(head) % ALIGN))
        for _, _, storage, make in tensors:
            data = STORAGES[storage][2](make())
            f.write(data + b"\0" * (-len(data) % ALIGN))
    os.rename(path + ".part", path)
