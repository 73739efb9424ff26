"""BERT-base (Devlin et al., arXiv:1810.04805), Hugging Face's names, 128 tokens."""
import torch
from torch import nn
import torch.nn.functional as F

AIGC, ENTRY, DIMS = "bert.aigc", "forward", []
VOCAB, D, HEADS, LAYERS, HIDDEN, LONGEST, EPS = 30522, 768, 12, 12, 3072, 512, 1e-12


class Embeddings(nn.Module):
    def __init__(self):
        super().__init__()
        self.word_embeddings, self.position_embeddings = nn.Embedding(VOCAB, D), nn.Embedding(LONGEST, D)
        self.token_type_embeddings, self.LayerNorm = nn.Embedding(2, D), nn.LayerNorm(D, EPS)

    def forward(self, ids, types):
        x = self.word_embeddings(ids) + self.position_embeddings.weight[:ids.shape[1]] + self.token_type_embeddings(types)
        return self.LayerNorm(x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.self = nn.ModuleDict({"query": nn.Linear(D, D), "key": nn.Linear(D, D), "value": nn.Linear(D, D)})
        self.output = nn.ModuleDict({"dense": nn.Linear(D, D), "LayerNorm": nn.LayerNorm(D, EPS)})

    def forward(self, x, mask):
        b, t, d = x.shape
        q, k, v = (self.self[n](x).view(b, t, HEADS, d // HEADS).transpose(1, 2) for n in ("query", "key", "value"))
        y = torch.softmax(q @ k.transpose(2, 3) / (d // HEADS) ** 0.5 + mask, -1) @ v
        return self.output["LayerNorm"](self.output["dense"](y.transpose(1, 2).reshape(b, t, d)) + x)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(D, HIDDEN)})
        self.output = nn.ModuleDict({"dense": nn.Linear(HIDDEN, D), "LayerNorm": nn.LayerNorm(D, EPS)})

    def forward(self, x, mask):
        x = self.attention(x, mask)
        return self.output["LayerNorm"](self.output["dense"](F.gelu(self.intermediate["dense"](x))) + x)


class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(D, D)})

    def forward(self, ids, attention_mask, types):
        x = self.embeddings(ids, types)
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        return x, torch.tanh(self.pooler["dense"](x[:, 0]))


module = Bert


def inputs():
    ids = torch.tensor([[(i * 7919 + 13) % VOCAB for i in range(128)]], dtype=torch.int32)
    return {"ids": ids, "attention_mask": torch.ones(1, 128, dtype=torch.int32), "types": torch.zeros(1, 128, dtype=torch.int32)}
