"""GPT-2 at the size of 124M (Radford et al., 2019), Hugging Face's names: logits of all 128 tokens. Its twin is examples/gpt2."""
import torch
from torch import nn
import torch.nn.functional as F

AIGC, ENTRY, DIMS = "../../examples/gpt2/gpt2.aigc", "forward", [0]
META = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12}


class Conv1D(nn.Module):
    def __init__(self, inp, out):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(inp, out)), nn.Parameter(torch.zeros(out))

    def forward(self, x):
        return torch.addmm(self.bias, x, self.weight)


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attn = nn.ModuleDict({"c_attn": Conv1D(d, 3 * d), "c_proj": Conv1D(d, d)})
        self.mlp = nn.ModuleDict({"c_fc": Conv1D(d, 4 * d), "c_proj": Conv1D(4 * d, d)})

    def forward(self, x, mask):
        t, d = x.shape
        q, k, v = self.attn["c_attn"](self.ln_1(x)).view(t, 3, self.heads, d // self.heads).permute(1, 2, 0, 3)
        score = q @ k.transpose(1, 2) / (d // self.heads) ** 0.5 + mask
        y = (torch.softmax(score, -1) @ v).transpose(0, 1).reshape(t, d)
        x = x + self.attn["c_proj"](y)
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self):
        super().__init__()
        m = META
        self.wte, self.wpe = nn.Embedding(m["vocab_size"], m["n_embd"]), nn.Embedding(m["n_positions"], m["n_embd"])
        self.h = nn.ModuleList(Block(m["n_embd"], m["n_head"]) for _ in range(m["n_layer"]))
        self.ln_f = nn.LayerNorm(m["n_embd"])

    def forward(self, tokens):
        t = tokens.shape[0]
        x = self.wte(tokens) + self.wpe.weight[:t]
        mask = torch.full((t, t), -float("inf")).triu(1).to(x.dtype)
        for block in self.h:
            x = block(x, mask)
        return self.ln_f(x) @ self.wte.weight.T


module = GPT2


def inputs():
    return {"tokens": torch.tensor([(i * 7919 + 13) % META["vocab_size"] for i in range(128)], dtype=torch.int32)}
