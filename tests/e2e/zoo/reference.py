#!/usr/bin/env python3
"""Makes reference.json: what PyTorch gives, in float64, for the models of this folder.

    python3 tests/e2e/zoo/reference.py            # Debian: python3-torch

Weights are made by a formula (`values`), which test_zoo.c computes too, and put into PyTorch's own modules; the tensors'
names are those of their state dicts. Of long results every few numbers are kept.
"""
import json
import math
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = 96
CASES = []


def values(name, n):
    """n numbers in [-1, 1) from a hash (FNV-1a of the name, then MurmurHash3's mixing). Exact in float32."""
    x = 2166136261
    for b in name.encode():
        x = (x ^ b) * 16777619 & 0xFFFFFFFF
    x = (x + np.arange(n, dtype=np.uint64) * 0x9E3779B9) & 0xFFFFFFFF
    x = (x ^ x >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    x = (x ^ x >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    x ^= x >> 16
    return (x >> 16).astype(np.float64) / 32768 - 1


def floats(name, *shape, offset=0.0, scale=1.0):
    """A tensor and how it is made."""
    t = torch.from_numpy(offset + scale * values(name, math.prod(shape))).reshape(shape)
    return t, {"name": name, "dtype": "f32", "offset": offset, "scale": scale, "dims": list(shape)}


def whole(name, n, *shape, dtype="i32"):
    """Whole numbers from 0 to n - 1."""
    t = torch.from_numpy(np.floor((values(name, math.prod(shape)) + 1) / 2 * n).astype(np.int64)).reshape(shape)
    return t, {"name": name, "dtype": dtype, "below": n, "dims": list(shape)}


def exact(list_, dtype):
    """Numbers as they stand."""
    t = torch.tensor(list_, dtype=torch.bool if dtype == "bool" else torch.int64 if dtype[0] == "i" else torch.float64)
    return t, {"dtype": dtype, "numbers": t.reshape(-1).to(torch.float64).tolist(), "dims": list(t.shape)}


def weigh(name, t):
    """Offset and scale of a weight: of a size that keeps activations near 1, and a sum of powers of two."""
    step = name.rsplit(".", 1)[-1]
    if step == "running_var":
        return 1.0, 0.5
    if t.dim() == 1:
        return (1.0, 0.25) if step == "weight" else (0.0, 0.125)
    if "embed" in name or step in ("mean", "log_std"):
        return 0.0, 1.0
    return 0.0, 2.0 ** round(math.log2(1.7 / math.sqrt(t[0].numel())))


def fill(module):
    """Fills a module; gives [name, offset, scale, dims] of its tensors, and counters as they are."""
    out = []
    for name, t in module.state_dict().items():
        if t.dtype == torch.int64:
            out.append([name, "i64", 0, list(t.shape)])
            continue
        offset, scale = weigh(name, t)
        t.copy_(floats(name, *t.shape, offset=offset, scale=scale)[0])
        out.append([name, offset, scale, list(t.shape)])
    return out


def kept(t, bound):
    """What is kept of a result: its sizes, and every few of its numbers."""
    x = t.detach().to(torch.float64).reshape(-1)
    every = max(1, -(-len(x) // KEPT))
    every += every > 1 and every % 2 == 0
    return {"dims": list(t.shape), "every": every, "bound": bound, "most": float("%.7g" % max(x.abs().max().item(), 1e-30)),
            "numbers": [float("%.8g" % v) for v in x[::every].tolist()]}


def call(entry, args, results, dims=(), bound=1e-5, reset=False):
    results = results if isinstance(results, (list, tuple)) else [results]
    return {"entry": entry, "dims": list(dims), "args": [a[1] for a in args], "results": [kept(r, bound) for r in results], "reset": reset}


def case(file, model, module, calls):
    """calls is a function of the filled module."""
    module.eval()
    tensors = fill(module)
    CASES.append({"file": file, "model": model, "tensors": tensors, "calls": calls(module)})


# VAE --------------------------------------------------------------------------------------------------

class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc, self.mean_of, self.logvar = nn.Linear(36, 24), nn.Linear(24, 4), nn.Linear(24, 4)
        self.decoder = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 36), nn.Sigmoid())


def vae(m):
    x, noise = floats("x", 3, 36, offset=0.5, scale=0.5), floats("noise", 3, 4)
    h = F.relu(m.enc(x[0]))
    mu, lv = m.mean_of(h), m.logvar(h)
    y = m.decoder(mu + noise[0] * torch.exp(0.5 * lv))
    elbo = -F.binary_cross_entropy(y, x[0], reduction="none").sum(-1) + 0.5 * (1 + lv - mu ** 2 - lv.exp()).sum(-1)
    z = floats("z", 5, 4)
    return [call("encode", [x], [mu, lv]), call("decode", [z], m.decoder(z[0])), call("reconstruct", [x, noise], [y, elbo])]


class ConvVAE(nn.Module):
    def __init__(self, c=4, latent=3):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, c, 3, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(c, 2 * c, 3, stride=2, padding=1),
                                     nn.BatchNorm2d(2 * c), nn.SiLU(), nn.Flatten(), nn.Linear(2 * c * 4, 2 * latent))
        self.start = nn.Linear(latent, 2 * c * 4)
        self.decoder = nn.Sequential(nn.ConvTranspose2d(2 * c, c, 3, stride=2, padding=1, output_padding=1), nn.ELU(),
                                     nn.ConvTranspose2d(c, 1, 4, stride=2, padding=1), nn.Tanh())


def conv_vae(m):
    x, noise = floats("x", 3, 1, 8, 8), floats("noise", 3, 3)
    mu, lv = m.encoder(x[0]).chunk(2, 1)
    z = mu + noise[0] * torch.exp(lv / 2)
    return [call("reconstruct", [x, noise], m.decoder(m.start(z).view(3, 8, 2, 2)))]


# ResNet -----------------------------------------------------------------------------------------------

class BasicBlock(nn.Module):
    def __init__(self, inp, out, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = nn.Sequential(nn.Conv2d(inp, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if stride != 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.downsample(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.maxpool = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(16, 5)

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


def resnet(m):
    out = []
    for n, h, w in ((2, 32, 32), (1, 21, 17)):
        x = floats("x", n, 3, h, w)
        y = m(x[0])
        out += [call("forward", [x], y), call("classify", [x], [y.softmax(-1), y.argmax(-1)])]
    return out


# DCGAN ------------------------------------------------------------------------------------------------

class Generator(nn.Module):
    def __init__(self, nz=6, ngf=4, nc=3):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 4, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 4), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 4, ngf * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, nc, 4, 2, 1, bias=False), nn.Tanh())


def generator(m):
    z = floats("z", 3, 6, 1, 1)
    return [call("forward", [z], m.main(z[0]))]


class Discriminator(nn.Module):
    def __init__(self, ndf=4, nc=3):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(nc, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
                                  nn.InstanceNorm2d(ndf * 2, affine=True), nn.PReLU(ndf * 2), nn.Conv2d(ndf * 2, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def discriminator(m):
    x = floats("x", 3, 3, 16, 16)
    return [call("forward", [x], m.main(x[0]).view(3))]


# Recurrent nets ---------------------------------------------------------------------------------------

class LM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.lstm, self.head = nn.Embedding(20, 12), nn.LSTM(12, 10, 2), nn.Linear(10, 20)


def lm(m):
    a, b, c = whole("a", 20, 9, 3), whole("b", 20, 6), whole("c", 20, 1)
    y, _ = m.lstm(m.embed(a[0]))
    z, s = m.lstm(m.embed(b[0])[:, None])
    w, _ = m.lstm(m.embed(c[0])[:, None], s)
    return [call("forward", [a], m.head(y)), call("next", [b], m.head(z[-1, 0]), [0]), call("next", [c], m.head(w[-1, 0]), [6]),
            call("next", [b], m.head(z[-1, 0]), [0], reset=True)]


class GRU(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 12)
        self.gru = nn.GRU(12, 10, 2, batch_first=True, bidirectional=True)
        self.rnn = nn.RNN(20, 7, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(7, 3)


def gru(m):
    out = []
    for b, t in ((3, 8), (1, 1)):
        x = whole("x", 20, b, t)
        y, h = m.gru(m.embed(x[0]))
        out.append(call("forward", [x], [m.head(m.rnn(y)[1][0]), h]))
    return out


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTMCell(12, 10), nn.GRUCell(10, 10)


def cells(m):
    x = floats("x", 7, 2, 12)
    h = c = g = torch.zeros(2, 10)
    ys = []
    for t in range(7):
        h, c = m.lstm(x[0][t], (h, c))
        g = m.gru(h, g)
        ys.append(g)
    return [call("forward", [x], [torch.stack(ys), h, c])]


# Encoder and decoder ----------------------------------------------------------------------------------

class Transformer(nn.Module):
    def __init__(self, v=24, d=16, heads=4, layers=2, hidden=32):
        super().__init__()
        self.src_embed, self.tgt_embed = nn.Embedding(v, d), nn.Embedding(v, d)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(d, heads, hidden, batch_first=True), layers, nn.LayerNorm(d), enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(d, heads, hidden, batch_first=True), layers)
        self.generator = nn.Linear(d, v)

    def begin(self, tokens, embed):
        n, d = tokens.shape[-1], 16
        angle = torch.arange(n).double()[:, None] * torch.exp(torch.arange(0, d, 2).double() * (-math.log(10000.0) / d))
        return embed(tokens) * math.sqrt(d) + torch.stack([angle.sin(), angle.cos()], -1).view(n, d)

    def encode(self, src, padding=None):
        x = self.begin(src, self.src_embed)  # layer by layer: without the fast path, whose zeros at the padding are not the layers'
        mask = torch.zeros(len(src), 1, 1, src.shape[1]) if padding is None else torch.zeros(len(src), 1, 1, src.shape[1]).masked_fill(padding[:, None, None], -math.inf)
        for layer in self.encoder.layers:
            x = layer.norm1(x + attend(layer.self_attn, x, x, mask))
            x = layer.norm2(x + layer.linear2(F.relu(layer.linear1(x))))
        return self.encoder.norm(x)

    def forward(self, src, tgt, padding=None):
        causal = torch.full((tgt.shape[1],) * 2, -math.inf).triu(1)
        return self.generator(self.decoder(self.begin(tgt, self.tgt_embed), self.encode(src, padding), tgt_mask=causal, memory_key_padding_mask=padding))


def attend(a, x, y, mask):
    d, h = a.embed_dim, a.num_heads
    w, b = a.in_proj_weight, a.in_proj_bias
    q, k, v = (F.linear(z, w[i * d:i * d + d], b[i * d:i * d + d]).view(z.shape[0], z.shape[1], h, d // h).transpose(1, 2) for i, z in enumerate((x, y, y)))
    s = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(d // h) + mask, -1)
    return a.out_proj((s @ v).transpose(1, 2).reshape(x.shape))


def transformer(m):
    src, tgt = whole("src", 24, 2, 9), whole("tgt", 24, 2, 7)
    padding = exact([[False] * 9, [False] * 5 + [True] * 4], "bool")
    return [call("forward", [src, tgt, padding], m(src[0], tgt[0], padding[0]))]


def translator(m):
    src, one, two = whole("src", 24, 8), whole("one", 24, 4), whole("two", 24, 1)
    text = torch.cat([one[0], two[0]])[None]
    y = m(src[0][None], text)[0]
    out = [call("encode", [src], m.encode(src[0][None])[0]), call("decode", [one], y[3], [0, 8]), call("decode", [two], y[4], [4, 8])]
    src = whole("other", 24, 3)
    y = m(src[0][None], text)[0]
    return out + [call("encode", [src], m.encode(src[0][None])[0]), call("decode", [one], y[3], [0, 3])]


# BERT -------------------------------------------------------------------------------------------------

def tree(**members):
    m = nn.Module()
    for name, member in members.items():
        m.add_module(name, member)
    return m


def bert_module(v=30, d=16, layers=2, hidden=32):
    layer = [tree(attention=tree(self=tree(query=nn.Linear(d, d), key=nn.Linear(d, d), value=nn.Linear(d, d)),
                                 output=tree(dense=nn.Linear(d, d), LayerNorm=nn.LayerNorm(d, 1e-12))),
                  intermediate=tree(dense=nn.Linear(d, hidden)), output=tree(dense=nn.Linear(hidden, d), LayerNorm=nn.LayerNorm(d, 1e-12)))
             for _ in range(layers)]
    e = tree(word_embeddings=nn.Embedding(v, d), position_embeddings=nn.Embedding(24, d), token_type_embeddings=nn.Embedding(2, d), LayerNorm=nn.LayerNorm(d, 1e-12))
    return tree(embeddings=e, encoder=tree(layer=nn.ModuleList(layer)), pooler=tree(dense=nn.Linear(d, d)))


def bert(m):
    ids, types, zeros = whole("ids", 30, 3, 11), whole("types", 2, 3, 11), exact([[0] * 11] * 3, "i32")
    mask = exact([[1] * 11, [1] * 4 + [0] * 7, [1] * 8 + [0] * 3], "i32")

    def run(types):
        e = m.embeddings
        x = e.LayerNorm(e.word_embeddings(ids[0]) + e.position_embeddings.weight[:11] + e.token_type_embeddings(types))
        for l in m.encoder.layer:
            s = l.attention.self
            q, k, v = (f(x).view(3, 11, 2, 8).transpose(1, 2) for f in (s.query, s.key, s.value))
            score = (q @ k.transpose(2, 3) / math.sqrt(8)).masked_fill(mask[0][:, None, None] == 0, -math.inf)
            y = (score.softmax(-1) @ v).transpose(1, 2).reshape(3, 11, 16)
            x = l.attention.output.LayerNorm(l.attention.output.dense(y) + x)
            x = l.output.LayerNorm(l.output.dense(F.gelu(l.intermediate.dense(x))) + x)
        return x

    x = run(types[0])
    f = mask[0][..., None].double()
    y = F.normalize((run(zeros[0]) * f).sum(1) / f.sum(1), dim=-1)
    return [call("forward", [ids, mask, types], [x, torch.tanh(m.pooler.dense(x[:, 0]))]), call("embed", [ids, mask], y)]


# Diffusion --------------------------------------------------------------------------------------------

class ResBlock(nn.Module):
    def __init__(self, inp, out, time):
        super().__init__()
        self.norm1, self.conv1, self.time_proj = nn.GroupNorm(4, inp), nn.Conv2d(inp, out, 3, padding=1), nn.Linear(time, out)
        self.norm2, self.conv2 = nn.GroupNorm(4, out), nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Conv2d(inp, out, 1) if inp != out else nn.Identity()

    def forward(self, x, e):
        h = self.conv1(F.silu(self.norm1(x))) + self.time_proj(F.silu(e))[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.skip(x)


class AttnBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.GroupNorm(4, c)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(c, c, 1) for _ in range(4))

    def forward(self, x):
        b, c, h, w = x.shape
        y = self.norm(x)
        q, k, v = (f(y).flatten(2).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(c), -1) @ v
        return x + self.proj_out(y.transpose(1, 2).reshape(b, c, h, w))


class DDPM(nn.Module):
    def __init__(self, ch=8, channels=1):
        super().__init__()
        self.ch = ch
        self.time_mlp = nn.Sequential(nn.Linear(ch, 4 * ch), nn.SiLU(), nn.Linear(4 * ch, 4 * ch))
        self.conv_in = nn.Conv2d(channels, ch, 3, padding=1)
        self.down1, self.down = ResBlock(ch, ch, 4 * ch), nn.Conv2d(ch, ch, 3, stride=2, padding=1)
        self.down2, self.attn, self.mid = ResBlock(ch, 2 * ch, 4 * ch), AttnBlock(2 * ch), ResBlock(2 * ch, 2 * ch, 4 * ch)
        self.up2 = ResBlock(4 * ch, 2 * ch, 4 * ch)
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2 * ch, 2 * ch, 3, padding=1))
        self.up1, self.norm_out, self.conv_out = ResBlock(3 * ch, ch, 4 * ch), nn.GroupNorm(4, ch), nn.Conv2d(ch, channels, 3, padding=1)

    def forward(self, x, t):
        half = self.ch // 2
        angle = t.double()[:, None] * torch.exp(torch.arange(half).double() * (-math.log(10000.0) / (half - 1)))
        e = self.time_mlp(torch.cat([angle.sin(), angle.cos()], 1))
        h1 = self.down1(self.conv_in(x), e)
        h2 = self.attn(self.down2(self.down(h1), e))
        h = self.up2(torch.cat([self.mid(h2, e), h2], 1), e)
        h = self.up1(torch.cat([self.up(h), h1], 1), e)
        return self.conv_out(F.silu(self.norm_out(h)))


def unet(m):
    x, t, y = floats("x", 2, 1, 8, 12), exact([3, 41], "i64"), floats("start", 2, 1, 8, 8, scale=1.5)
    out = [call("predict", [x, t], m(x[0], t[0]), bound=2e-5)]
    alpha = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 50) * 20, 0)
    for n in (1, 7):
        z = y[0]
        for i in range(n):
            t = 49 - i * (50 // n)
            s = t - 50 // n
            a, b = alpha[t], alpha[s] if s >= 0 else torch.tensor(1.0)
            e = m(z, torch.full((2,), t))
            z = b.sqrt() * ((z - (1 - a).sqrt() * e) / a.sqrt()).clamp(-3, 3) + (1 - b).sqrt() * e
        out.append(call("sample", [y], z, [n], bound=1e-4))
    return out


# Mixture of Gaussians ---------------------------------------------------------------------------------

def parameters(**shapes):
    m = nn.Module()
    for name, shape in shapes.items():
        m.register_parameter(name, nn.Parameter(torch.zeros(shape)))
    return m


def gmm(m):
    x = floats("x", 9, 3, scale=2.0)
    d = torch.distributions
    c = d.Independent(d.Normal(m.mean, m.log_std.exp()), 1)
    mix = d.MixtureSameFamily(d.Categorical(logits=m.logits), c)
    r = torch.softmax(c.log_prob(x[0][:, None]) + m.logits.log_softmax(-1), -1)
    n = r.sum(0)
    mu = r.T @ x[0] / n[:, None]
    var = (r[..., None] * (x[0][:, None] - mu) ** 2).sum(0) / n[:, None]
    return [call("log_density", [x], mix.log_prob(x[0])), call("responsibilities", [x], r), call("em", [x], [n / 9, mu, var])]


# Conditional ------------------------------------------------------------------------------------------

def conditional(m):
    z, y, x = floats("z", 5, 4), whole("y", 6, 5, dtype="i64"), floats("x", 5, 25, offset=0.5, scale=0.5)

    def decode(z, y):
        e = m.label(y)
        scale, shift = m.film(e).chunk(2, 1)
        return torch.sigmoid(m.fc2(F.gelu(m.fc1(torch.cat([z, e], 1))) * (1 + scale) + shift))

    p = decode(z[0], y[0])
    a, b = decode(z[0], torch.full((5,), 4)), decode(z[0], torch.full((5,), 0))
    return [call("decode", [z, y], p), call("log_likelihood", [x, z, y], torch.where(x[0] > 0.5, p.log(), (1 - p).log()).sum(1)),
            call("guided", [z, exact(4, "i32")], b + 3 * (a - b))]


# Attention --------------------------------------------------------------------------------------------

def rope(x, pos):
    e = x.shape[-1]
    angle = (pos + torch.arange(x.shape[1]).double())[:, None] * 10000.0 ** (-torch.arange(e // 2).double() * 2 / e)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def attention_module(sinks):
    m = tree(**{n: nn.Linear(32, k, bias=False) for n, k in (("q_proj", 32), ("k_proj", 16), ("v_proj", 16), ("o_proj", 32))})
    if sinks:
        m.register_parameter("sinks", nn.Parameter(torch.zeros(4)))
    return m


def attention_of(m, x, sinks):
    t = len(x)
    q, k, v = (f(x).view(t, -1, 8).transpose(0, 1) for f in (m.q_proj, m.k_proj, m.v_proj))
    k, v = rope(k, 0).repeat_interleave(2, 0), v.repeat_interleave(2, 0)
    s = 20 * torch.tanh(rope(q, 0) @ k.transpose(1, 2) / math.sqrt(8) / 20)
    i, j = torch.arange(t)[:, None], torch.arange(t)
    s = s.masked_fill(~((j <= i) & (i - j < 5)), -math.inf)
    if sinks:
        s = torch.cat([s, m.sinks[:, None, None].expand(4, t, 1)], -1)
    return m.o_proj((s.softmax(-1)[..., :t] @ v).transpose(0, 1).reshape(t, 32))


def attention(m):
    x = floats("x", 13, 32)
    y = attention_of(m, x[0], True)
    out = [call("forward", [x], y, [0])]
    a, b = floats("x", 13, 32), floats("more", 1, 32)
    y = attention_of(m, torch.cat([a[0], b[0]]), True)
    return out + [call("forward", [a], y[:13], [0]), call("forward", [b], y[13:], [13])]


def windowed(m):
    return [call("forward", [x], attention_of(m, x[0], False)) for x in (floats("x", 13, 32), floats("x", 1, 32))]


# Mixture of experts -----------------------------------------------------------------------------------

def moe_module():
    m = parameters(w1=(5, 20, 12), w2=(5, 12, 20), w3=(5, 20, 12))
    m.add_module("gate", nn.Linear(12, 5, bias=False))
    return m


def moe(m):
    x = floats("x", 11, 12)
    value, index = m.gate(x[0]).topk(2, -1)
    p = value.softmax(-1)
    y = torch.zeros(11, 12)
    for t in range(11):
        for j in range(2):
            n = index[t, j]
            y[t] += p[t, j] * (m.w2[n] @ (F.silu(m.w1[n] @ x[0][t]) * (m.w3[n] @ x[0][t])))
    return [call(name, [x], y) for name in ("dense", "sparse", "masked")] + [call("load", [x], torch.bincount(index.reshape(-1), minlength=5))]


# Audio ------------------------------------------------------------------------------------------------

def wavenet_module(ch=6, skip=8, depth=4, levels=16):
    blocks = [tree(filter=nn.Conv1d(ch, ch, 2, dilation=2 ** i), gate=nn.Conv1d(ch, ch, 2, dilation=2 ** i), res=nn.Conv1d(ch, ch, 1), out=nn.Conv1d(ch, skip, 1))
              for i in range(depth)]
    return tree(start=nn.Conv1d(1, ch, 1), blocks=nn.ModuleList(blocks), end1=nn.Conv1d(skip, skip, 1), end2=nn.Conv1d(skip, levels, 1))


def wavenet(m):
    x = floats("x", 2, 1, 29)
    h, total = m.start(x[0]), 0
    for b in m.blocks:
        p = F.pad(h, (b.filter.dilation[0], 0))
        z = torch.tanh(b.filter(p)) * torch.sigmoid(b.gate(p))
        h, total = h + b.res(z), total + b.out(z)
    return [call("forward", [x], m.end2(F.relu(m.end1(F.relu(total)))))]


def vocoder(m):
    x = floats("x", 2, 6, 11)
    h = F.leaky_relu(m.up(F.leaky_relu(m.pre(x[0]), 0.1)), 0.1)
    h = h + m.deep(h)
    return [call("forward", [x], torch.tanh(m.post(h))[:, 0])]


# Sorting and counting ---------------------------------------------------------------------------------

def ranks(m):
    x, v = floats("x", 4, 23, scale=3.0), floats("v", 23)
    q = x[0].softmax(-1)
    s, order = q.sort(-1, descending=True)
    s = torch.where(s.cumsum(-1) - s < 0.8, s, torch.zeros(()))
    top = torch.zeros(4, 23).scatter(1, order, s / s.sum(-1, keepdim=True))
    ids, w = whole("ids", 7, 40, dtype="i64"), floats("w", 40)
    seen = exact([3, 3, 5, 0], "i64")
    there = torch.zeros(23, dtype=torch.bool)
    there[seen[0]] = True
    penalized = torch.where(there, torch.where(v[0] > 0, v[0] / 1.5, v[0] * 1.5), v[0])
    frames = floats("frames", 17, 3)
    best = frames[0].argmax(-1)
    before = torch.cat([torch.tensor([-1]), best[:-1]])
    keep = (best != before) & (best != 0)
    lengths = exact([3, 1, 4, 1], "i64")
    blank, label = floats("blank", 6, 5, offset=-1.5), floats("label", 6, 5, offset=-1.5)
    alpha = torch.full((6, 5), -math.inf)
    for t in range(6):
        for u in range(5):
            a = [torch.zeros(())] if t == u == 0 else []
            a += [alpha[t - 1, u] + blank[0][t - 1, u]] if t else []
            a += [alpha[t, u - 1] + label[0][t, u - 1]] if u else []
            alpha[t, u] = torch.logsumexp(torch.stack(a), 0)
    return [call("top_p", [x, exact(0.8, "f32")], top), call("rank", [x], x[0].argsort(-1).argsort(-1)),
            call("medians", [x], [x[0].median(-1).values, x[0].sort(0, descending=True).values]),
            call("histogram", [ids, w], [torch.zeros(7).index_add(0, ids[0], w[0]), torch.bincount(ids[0], minlength=7), F.one_hot(ids[0], 7)]),
            call("penalize", [v, seen, exact(1.5, "f32")], penalized), call("ctc", [frames], [torch.where(keep, best, torch.tensor(-1)), keep.sum()]),
            call("scans", [x, lengths], [x[0].cumsum(0), x[0].flip(1).cumsum(1).flip(1), lengths[0].cumsum(0) - lengths[0]]),
            call("transducer", [blank, label], alpha[-1, -1] + blank[0][-1, -1])]


# Index notation ---------------------------------------------------------------------------------------

def notation(m):
    x, im, s = floats("x", 2, 5, 8), floats("im", 2, 3, 4, 6), floats("s", 3, 11)
    a, b, r = floats("a", 4, 8), floats("b", 4, 4), floats("r", 5, 8)
    norm = x[0] * torch.rsqrt((x[0] ** 2).mean(-1, keepdim=True) + 1e-6) * m.weight
    pool = [((im[0].abs() + 0.1) ** 3).mean((2, 3)) ** (1 / 3), im[0].abs().mean((2, 3))]
    ids = (torch.arange(5)[:, None] - torch.arange(5) + 4).clamp(0, 8)
    rel = torch.softmax(r[0] @ r[0].T + torch.einsum("ie,ije->ij", r[0], m.table[ids]), -1)
    far = ((a[0][:, None] - m.table) ** 2).sum(-1).max(-1).values
    return [call("norm", [x], norm), call("pool", [im], pool), call("slide", [s], F.conv1d(s[0][:, None], m.taps[None, None], stride=2)[:, 0]),
            call("bi", [a, b], F.bilinear(a[0], b[0], m.mix)), call("rel", [r], rel), call("far", [a], far)]


def main():
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        case("vae", "vae", VAE(), vae)
        case("vae", "conv_vae", ConvVAE(), conv_vae)
        case("resnet", "resnet", ResNet(), resnet)
        case("dcgan", "generator", Generator(), generator)
        case("dcgan", "discriminator", Discriminator(), discriminator)
        case("rnn", "lm", LM(), lm)
        case("rnn", "gru", GRU(), gru)
        case("rnn", "cells", Cells(), cells)
        case("transformer", "transformer", Transformer(), transformer)
        case("transformer", "translator", Transformer(), translator)
        case("bert", "bert", bert_module(), bert)
        case("unet", "ddpm", DDPM(), unet)
        case("mixture", "gmm", parameters(logits=(4,), mean=(4, 3), log_std=(4, 3)), gmm)
        case("conditional", "conditional", tree(label=nn.Embedding(6, 8), film=nn.Linear(8, 32), fc1=nn.Linear(12, 16), fc2=nn.Linear(16, 25)), conditional)
        case("attention", "attention", attention_module(True), attention)
        case("attention", "windowed", attention_module(False), windowed)
        case("moe", "moe", moe_module(), moe)
        case("wavenet", "wavenet", wavenet_module(), wavenet)
        case("wavenet", "vocoder", tree(pre=nn.Conv1d(6, 8, 7, padding=3), up=nn.ConvTranspose1d(8, 4, 8, stride=4, padding=2),
                                        deep=nn.Conv1d(4, 4, 3, padding=3, dilation=3, groups=4), post=nn.Conv1d(4, 1, 7, padding="same", bias=False)), vocoder)
        case("ranks", "ranks", nn.Module(), ranks)
        case("notation", "notation", parameters(weight=(8,), taps=(3,), mix=(5, 8, 4), table=(9, 8)), notation)
    with open(os.path.join(HERE, "reference.json"), "w") as f:
        f.write("[" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in CASES) + "]\n")


if __name__ == "__main__":
    main()
