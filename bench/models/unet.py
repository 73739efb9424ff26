"""The U-Net of a DDPM (Ho et al., arXiv:2006.11239) with 16M parameters: the noise in one picture."""
import math

import torch
from torch import nn
import torch.nn.functional as F

AIGC, ENTRY, DIMS = "unet.aigc", "predict", []
CH, GROUPS = 64, 32


class ResBlock(nn.Module):
    def __init__(self, inp, out, time):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, inp), nn.Conv2d(inp, out, 3, padding=1)
        self.time_proj = nn.Linear(time, out)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, out), nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Conv2d(inp, out, 1) if inp != out else nn.Identity()

    def forward(self, x, e):
        h = self.conv1(F.silu(self.norm1(x))) + self.time_proj(F.silu(e))[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.skip(x)


class AttnBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, c)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(c, c, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (f(h).flatten(2).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(x.shape[1]), -1) @ v
        return x + self.proj_out(y.transpose(1, 2).reshape(x.shape))


class UNet(nn.Module):
    """Three resolutions of CH, 2 CH and 4 CH channels, two blocks each on the way down and three on the way up; attention at the middle one."""

    def __init__(self):
        super().__init__()
        c, e = CH, 4 * CH
        self.time_mlp = nn.Sequential(nn.Linear(c, e), nn.SiLU(), nn.Linear(e, e))
        self.conv_in = nn.Conv2d(3, c, 3, padding=1)
        self.down1a, self.down1b, self.down1 = ResBlock(c, c, e), ResBlock(c, c, e), nn.Conv2d(c, c, 3, 2, 1)
        self.down2a, self.attn2a, self.down2b, self.attn2b = ResBlock(c, 2 * c, e), AttnBlock(2 * c), ResBlock(2 * c, 2 * c, e), AttnBlock(2 * c)
        self.down2 = nn.Conv2d(2 * c, 2 * c, 3, 2, 1)
        self.down3a, self.down3b = ResBlock(2 * c, 4 * c, e), ResBlock(4 * c, 4 * c, e)
        self.mid1, self.mid_attn, self.mid2 = ResBlock(4 * c, 4 * c, e), AttnBlock(4 * c), ResBlock(4 * c, 4 * c, e)
        self.up3a, self.up3b, self.up3c = ResBlock(8 * c, 4 * c, e), ResBlock(8 * c, 4 * c, e), ResBlock(6 * c, 4 * c, e)
        self.up3 = nn.Conv2d(4 * c, 4 * c, 3, padding=1)
        self.up2a, self.up2b, self.up2c = ResBlock(6 * c, 2 * c, e), ResBlock(4 * c, 2 * c, e), ResBlock(3 * c, 2 * c, e)
        self.attn_up2 = AttnBlock(2 * c)
        self.up2 = nn.Conv2d(2 * c, 2 * c, 3, padding=1)
        self.up1a, self.up1b, self.up1c = ResBlock(3 * c, c, e), ResBlock(2 * c, c, e), ResBlock(2 * c, c, e)
        self.norm_out, self.conv_out = nn.GroupNorm(GROUPS, c), nn.Conv2d(c, 3, 3, padding=1)

    def forward(self, x, t):
        freq = torch.exp(torch.arange(CH // 2, dtype=torch.float32) * (-math.log(10000.0) / (CH // 2 - 1)))
        angle = t.to(torch.float32)[:, None] * freq
        e = self.time_mlp(torch.cat([torch.sin(angle), torch.cos(angle)], 1))
        up = lambda h, conv: conv(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        join = lambda h, s: torch.cat([h, s], 1)
        s0 = self.conv_in(x)
        s1 = self.down1a(s0, e)
        s2 = self.down1b(s1, e)
        s3 = self.down1(s2)
        s4 = self.attn2a(self.down2a(s3, e))
        s5 = self.attn2b(self.down2b(s4, e))
        s6 = self.down2(s5)
        s7 = self.down3a(s6, e)
        s8 = self.down3b(s7, e)
        h = self.mid2(self.mid_attn(self.mid1(s8, e)), e)
        h = self.up3c(join(self.up3b(join(self.up3a(join(h, s8), e), s7), e), s6), e)
        h = up(h, self.up3)
        h = self.up2c(join(self.up2b(join(self.up2a(join(h, s5), e), s4), e), s3), e)
        h = up(self.attn_up2(h), self.up2)
        h = self.up1c(join(self.up1b(join(self.up1a(join(h, s2), e), s1), e), s0), e)
        return self.conv_out(F.silu(self.norm_out(h)))


module = UNet


def inputs(side=32):
    return {"x": torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2)), "t": torch.tensor([421], dtype=torch.int64)}
