#!/usr/bin/env python3
"""Makes demo_reference.json: greedy ids and logits of the demo's weights, by PyTorch in float64.

    python3 tests/e2e/demo_reference.py
"""
import json
import os
import struct
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(HERE, "../../examples/demo")
sys.path.insert(0, DEMO)
import train  # noqa: E402


def weights():
    data = open(os.path.join(DEMO, "model.safetensors"), "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    for name, t in json.loads(data[8:8 + n]).items():
        a, b = t["data_offsets"]
        yield name, torch.tensor(np.frombuffer(data[8 + n + a:8 + n + b], np.float16).astype(np.float64).reshape(t["shape"]))


torch.set_default_dtype(torch.float64)
p = dict(weights())
tok = json.load(open(os.path.join(DEMO, "tokenizer.json")))["model"]
out = {}
with torch.no_grad():
    for prompt in ["ROMEO:", "First Citizen:\nWhat, ho!"]:
        import re
        ids = train.encode(prompt, tok["vocab"], tok["merges"], train.byte_letters(), re.compile(
            r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+"))
        first, text = train.forward(p, torch.tensor([ids]))[0, -1].tolist(), list(ids)
        gaps = []
        for _ in range(100):
            best = train.forward(p, torch.tensor([text]))[0, -1].topk(2)
            gaps.append(float(best.values[0] - best.values[1]))
            text.append(int(best.indices[0]))
        out[prompt] = {"prompt_ids": ids, "greedy_ids": text[len(ids):], "logits": [round(x, 6) for x in first], "smallest_gap": min(gaps)}
json.dump(out, open(os.path.join(HERE, "demo_reference.json"), "w"))
