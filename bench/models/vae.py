"""The decoder of a convolutional VAE (Kingma, Welling, arXiv:1312.6114): from 128 numbers to a picture of 64 x 64."""
import torch
from torch import nn

AIGC, ENTRY, DIMS = "vae.aigc", "decode", []


class Decoder(nn.Module):
    def __init__(self, latent=128):
        super().__init__()
        self.start = nn.Linear(latent, 512 * 4)
        widths, layers = [512, 256, 128, 64, 32, 32], []
        for inp, out in zip(widths, widths[1:]):
            layers += [nn.ConvTranspose2d(inp, out, 3, 2, 1, output_padding=1), nn.BatchNorm2d(out), nn.LeakyReLU(0.01)]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(32, 3, 3, padding=1), nn.Tanh())

    def forward(self, z):
        return self.decoder(self.start(z).view(-1, 512, 2, 2))


module = Decoder


def inputs():
    return {"z": torch.randn(1, 128, generator=torch.Generator().manual_seed(2))}
