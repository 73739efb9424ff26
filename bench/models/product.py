"""One product with weights: [m, k] by [n, k] transposed."""
import torch
from torch import nn

AIGC, ENTRY, DIMS = "product.aigc", "forward", []


def module(m, k, n):
    return nn.Linear(k, n, bias=False)


def inputs(m, k, n):
    return {"x": torch.randn(m, k, generator=torch.Generator().manual_seed(2))}
