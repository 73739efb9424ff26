"""DCGAN's generator (Radford et al., arXiv:1511.06434) as in PyTorch's example: one picture of 64 x 64."""
import torch
from torch import nn

AIGC, ENTRY, DIMS = "dcgan.aigc", "forward", []


class Generator(nn.Module):
    def __init__(self, nz=100, ngf=64, nc=3):
        super().__init__()
        widths, layers = [nz, ngf * 8, ngf * 4, ngf * 2, ngf], []
        for i, (inp, out) in enumerate(zip(widths, widths[1:])):
            layers += [nn.ConvTranspose2d(inp, out, 4, 1 if i == 0 else 2, 0 if i == 0 else 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z):
        return self.main(z)


module = Generator


def inputs():
    return {"z": torch.randn(1, 100, 1, 1, generator=torch.Generator().manual_seed(2))}
