#!/usr/bin/env python3
"""Makes gpt2_reference.json: logits and greedy tokens of a small GPT-2, by PyTorch in float64.

    python3 tests/e2e/gpt2_reference.py            # Debian: python3-torch

The weights are made by a formula (`value`), which test_gpt2.c computes too; names, shapes and config.json are those
of Hugging Face checkpoints, whose linear layers ("Conv1D") keep their weights as [in, out].
"""
import json
import math
import os

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = {
    "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
    "vocab_size": 96, "n_positions": 64, "n_ctx": 64, "n_embd": 48, "n_head": 4, "n_layer": 3,
    "layer_norm_epsilon": 1e-05, "bos_token_id": 95, "eos_token_id": 95,
}
V, C, D, H, L = (CONFIG[k] for k in ("vocab_size", "n_positions", "n_embd", "n_head", "n_layer"))


def shapes():
    yield "wte.weight", (V, D)
    yield "wpe.weight", (C, D)
    for i in range(L):
        p = f"h.{i}."
        for ln in ("ln_1", "ln_2"):
            yield p + ln + ".weight", (D,)
            yield p + ln + ".bias", (D,)
        for name, n_in, n_out in (("attn.c_attn", D, 3 * D), ("attn.c_proj", D, D), ("mlp.c_fc", D, 4 * D), ("mlp.c_proj", 4 * D, D)):
            yield p + name + ".weight", (n_in, n_out)
            yield p + name + ".bias", (n_out,)
    yield "ln_f.weight", (D,)
    yield "ln_f.bias", (D,)


def value(name, i):
    """Number i of the tensor: uniform, from a hash (FNV-1a of the name, then MurmurHash3's mixing). Exact in float32."""
    x = 2166136261
    for b in name.encode():
        x = (x ^ b) * 16777619 & 0xFFFFFFFF
    x = (x + i * 0x9E3779B9) & 0xFFFFFFFF
    x = (x ^ x >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    x = (x ^ x >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    x ^= x >> 16
    u = (x >> 16) / 32768 - 1
    if "ln_" in name and name.endswith("weight"):
        return 1 + u / 4
    return u / 8 if name.endswith("bias") else u if name == "wpe.weight" else u / 2


def weights():
    for name, shape in shapes():
        yield name, torch.tensor([value(name, i) for i in range(math.prod(shape))]).reshape(shape)


def layer_norm(x, p, name):
    x = x - x.mean(-1, keepdim=True)
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + CONFIG["layer_norm_epsilon"]) * p[name + ".weight"] + p[name + ".bias"]


def conv1d(x, p, name):
    return x @ p[name + ".weight"] + p[name + ".bias"]


def gelu_new(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def forward(p, ids):
    t = len(ids)
    mask = torch.full((t, t), -math.inf).triu(1)
    x = p["wte.weight"][ids] + p["wpe.weight"][:t]
    for i in range(L):
        a = f"h.{i}."
        q, k, v = (y.view(t, H, D // H).transpose(0, 1) for y in conv1d(layer_norm(x, p, a + "ln_1"), p, a + "attn.c_attn").split(D, -1))
        y = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(D // H) + mask, -1) @ v
        x = x + conv1d(y.transpose(0, 1).reshape(t, D), p, a + "attn.c_proj")
        x = x + conv1d(gelu_new(conv1d(layer_norm(x, p, a + "ln_2"), p, a + "mlp.c_fc")), p, a + "mlp.c_proj")
    return layer_norm(x, p, "ln_f") @ p["wte.weight"].T


def main():
    torch.set_default_dtype(torch.float64)
    p, cases = dict(weights()), []
    for prompt, n in (([3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 89, 79], 40), ([95], 48), ([(7 * i * i + 3 * i) % V for i in range(C)], 0)):
        logits, text, gap = forward(p, prompt), list(prompt), math.inf
        for _ in range(n):
            best = forward(p, text)[-1].topk(2)
            gap = min(gap, float(best.values[0] - best.values[1]))
            text.append(int(best.indices[0]))
        cases.append({
            "prompt_ids": prompt, "greedy_ids": text[len(prompt):], "smallest_gap": gap if n else None,
            "last_logits": [[round(x, 6) for x in row] for row in logits.tolist()[-24:]],
        })
    with open(os.path.join(HERE, "gpt2_reference.json"), "w") as f:
        json.dump({"config": CONFIG, "cases": cases}, f)


if __name__ == "__main__":
    main()
