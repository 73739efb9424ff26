#!/usr/bin/env python3
"""Trains the demo's weights: a small Llama on the works of Shakespeare, for examples/llama/llama.aigc.

    python3 train.py tinyshakespeare.txt [steps]

needs PyTorch (Debian: python3-torch) and the text from
https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
It writes model.safetensors (f16, Hugging Face names), config.json and tokenizer.json (byte-level BPE) beside itself.
"""
import collections
import json
import math
import os
import re
import struct
import sys

import torch
import torch.nn.functional as F

VOCAB, CONTEXT, DIM, HIDDEN, LAYERS, HEADS, KV, THETA, EPS = 512, 256, 96, 256, 4, 6, 3, 10000.0, 1e-5
HERE = os.path.dirname(os.path.abspath(__file__))


# Byte-level BPE, as in GPT-2 -------------------------------------------------

def byte_letters():
    kept = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters, n = {b: chr(b) for b in kept}, 0
    for b in range(256):
        if b not in letters:
            letters[b] = chr(256 + n)
            n += 1
    return letters


def train_tokenizer(text):
    letters = byte_letters()
    pattern = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
    words = collections.Counter(tuple(letters[b] for b in w.encode()) for w in pattern.findall(text))
    vocab = ["<|endoftext|>"] + [letters[b] for b in range(256)]
    merges = []
    while len(vocab) < VOCAB:
        pairs = collections.Counter()
        for w, n in words.items():
            for pair in zip(w, w[1:]):
                pairs[pair] += n
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(" ".join(best))
        vocab.append("".join(best))
        words = collections.Counter({merge(w, best): n for w, n in words.items()})
    return {t: i for i, t in enumerate(vocab)}, merges, letters, pattern


def merge(w, pair):
    out, i = [], 0
    while i < len(w):
        if w[i:i + 2] == pair:
            out.append(w[i] + w[i + 1])
            i += 2
        else:
            out.append(w[i])
            i += 1
    return tuple(out)


def encode(text, vocab, merges, letters, pattern):
    rank, known, ids = {tuple(m.split(" ")): i for i, m in enumerate(merges)}, {}, []
    for word in pattern.findall(text):
        if word not in known:
            w = tuple(letters[b] for b in word.encode())
            while True:
                best = min(zip(w, w[1:]), key=lambda p: rank.get(p, 1 << 30), default=None)
                if best not in rank:
                    break
                w = merge(w, best)
            known[word] = [vocab[t] for t in w]
        ids += known[word]
    return ids


def save_tokenizer(vocab, merges):
    json.dump({
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": "<|endoftext|>", "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    }, open(os.path.join(HERE, "tokenizer.json"), "w"), ensure_ascii=False)


# The model of examples/llama, in PyTorch ---------------------------------------

def shapes():
    e = DIM // HEADS
    yield "model.embed_tokens.weight", (VOCAB, DIM)
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", (DIM,)
        yield p + "self_attn.q_proj.weight", (HEADS * e, DIM)
        yield p + "self_attn.k_proj.weight", (KV * e, DIM)
        yield p + "self_attn.v_proj.weight", (KV * e, DIM)
        yield p + "self_attn.o_proj.weight", (DIM, HEADS * e)
        yield p + "post_attention_layernorm.weight", (DIM,)
        yield p + "mlp.gate_proj.weight", (HIDDEN, DIM)
        yield p + "mlp.up_proj.weight", (HIDDEN, DIM)
        yield p + "mlp.down_proj.weight", (DIM, HIDDEN)
    yield "model.norm.weight", (DIM,)


def init(shape):
    w = torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.05
    return w.requires_grad_()


def norm(x, w):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * w


def rope(x):
    t, e = x.shape[-2], x.shape[-1]
    angle = torch.arange(t)[:, None] * THETA ** (-torch.arange(0, e, 2) / e)
    c, s = angle.cos(), angle.sin()
    a, b = x[..., : e // 2], x[..., e // 2:]
    return torch.cat([a * c - b * s, b * c + a * s], -1)


def forward(p, ids):
    n, t = ids.shape
    e = DIM // HEADS
    mask = torch.full((t, t), -math.inf).triu(1)
    x = p["model.embed_tokens.weight"][ids]
    for i in range(LAYERS):
        w = {k.split(f"layers.{i}.")[1]: v for k, v in p.items() if f"layers.{i}." in k}
        h = norm(x, w["input_layernorm.weight"])
        q = rope((h @ w["self_attn.q_proj.weight"].T).view(n, t, HEADS, e).transpose(1, 2))
        k = rope((h @ w["self_attn.k_proj.weight"].T).view(n, t, KV, e).transpose(1, 2)).repeat_interleave(HEADS // KV, 1)
        v = (h @ w["self_attn.v_proj.weight"].T).view(n, t, KV, e).transpose(1, 2).repeat_interleave(HEADS // KV, 1)
        y = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(e) + mask, -1) @ v
        x = x + y.transpose(1, 2).reshape(n, t, DIM) @ w["self_attn.o_proj.weight"].T
        h = norm(x, w["post_attention_layernorm.weight"])
        x = x + (F.silu(h @ w["mlp.gate_proj.weight"].T) * (h @ w["mlp.up_proj.weight"].T)) @ w["mlp.down_proj.weight"].T
    return norm(x, p["model.norm.weight"]) @ p["model.embed_tokens.weight"].T


def save(p):
    header, blob = {}, b""
    for name, w in p.items():
        data = w.detach().half().numpy().tobytes()
        header[name] = {"dtype": "F16", "shape": list(w.shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)
    json.dump({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB, "hidden_size": DIM,
        "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV, "max_position_embeddings": CONTEXT, "rms_norm_eps": EPS, "rope_theta": THETA,
        "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "float16",
    }, open(os.path.join(HERE, "config.json"), "w"), indent=1)


def main():
    torch.manual_seed(1)
    text = open(sys.argv[1]).read()
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    vocab, merges, letters, pattern = train_tokenizer(text)
    save_tokenizer(vocab, merges)
    ids = torch.tensor(encode(text, vocab, merges, letters, pattern))
    train, held = ids[: len(ids) * 95 // 100], ids[len(ids) * 95 // 100:]
    p = {name: init(shape) for name, shape in shapes()}
    optimizer = torch.optim.AdamW(p.values(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1)
    length, batch = 128, 24
    for step in range(steps):
        for g in optimizer.param_groups:
            g["lr"] = 3e-3 * min(1, step / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        at = torch.randint(len(train) - length - 1, (batch,))
        x = torch.stack([train[i:i + length + 1] for i in at])
        loss = F.cross_entropy(forward(p, x[:, :-1]).reshape(-1, VOCAB), x[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        optimizer.step()
        if step % 100 == 99:
            with torch.no_grad():
                y = held[: 64 * (length + 1)].view(64, length + 1)
                test = F.cross_entropy(forward(p, y[:, :-1]).reshape(-1, VOCAB), y[:, 1:].reshape(-1))
            print(f"step {step + 1}: loss {loss.item():.3f}, held out {test.item():.3f}", flush=True)
            save(p)
    save(p)


if __name__ == "__main__":
    main()
