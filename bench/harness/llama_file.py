"""Llama models of random weights as GGUF, the same numbers in every storage."""
import os

import numpy as np

from harness import files
from harness.files import ARRAY, F32, I32, STRING, U32

# d, layers, heads, kv heads, hidden; the shapes of llama2.c's stories15M and stories110M, and of TinyLlama 1.1B
SHAPES = {"15m": (288, 6, 6, 6, 768), "110m": (768, 12, 12, 12, 2048), "1.1b": (2048, 22, 32, 4, 5632)}
VOCAB, CONTEXT, EPS = 32000, 2048, 1e-5


def _vocabulary():
    """As small as SentencePiece's may be: unknown, begin, end, the 256 bytes, then words nobody writes."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + [f"w{i}" for i in range(259, VOCAB)]
    types = [2, 3, 3] + [6] * 256 + [1] * (VOCAB - 259)
    return [("tokenizer.ggml.model", STRING, "llama"), ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.scores", ARRAY, (F32, [-float(i) for i in range(VOCAB)])), ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
            ("tokenizer.ggml.bos_token_id", U32, 1), ("tokenizer.ggml.eos_token_id", U32, 2), ("tokenizer.ggml.unknown_token_id", U32, 0)]


def _tensors(d, layers, heads, kv, hidden):
    """(name, shape): matrices are [outputs, inputs]."""
    e = d // heads
    yield "token_embd.weight", (VOCAB, d)
    for i in range(layers):
        for name, shape in (("attn_norm", (d,)), ("attn_q", (d, d)), ("attn_k", (kv * e, d)), ("attn_v", (kv * e, d)), ("attn_output", (d, d)),
                            ("ffn_norm", (d,)), ("ffn_gate", (hidden, d)), ("ffn_up", (hidden, d)), ("ffn_down", (d, hidden))):
            yield f"blk.{i}.{name}.weight", shape
    yield "output_norm.weight", (d,)
    yield "output.weight", (VOCAB, d)


def _random(number, shape):
    """About as large as trained weights, so that activations stay near 1 and nothing is denormal."""
    rng = np.random.default_rng(number)
    if len(shape) == 1:
        return np.float32(1) + np.float32(0.1) * rng.standard_normal(shape, dtype=np.float32)
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.8 / shape[-1] ** 0.5)


def matrices(size, heads_only=False):
    """Numbers in all matrices that a token is multiplied by."""
    return sum(int(np.prod(s)) for n, s in _tensors(*SHAPES[size]) if len(s) == 2 and n != "token_embd.weight")


def path(size, storage):
    """The file of that size and storage, written when it is not there."""
    to = files.model_file("llama", f"{size}-{storage}.gguf")
    if os.path.exists(to):
        return to
    d, layers, heads, kv, hidden = SHAPES[size]
    values = [("general.architecture", STRING, "llama"), ("general.name", STRING, f"random {size}"), ("general.alignment", U32, files.ALIGN),
              ("llama.context_length", U32, CONTEXT), ("llama.embedding_length", U32, d), ("llama.block_count", U32, layers),
              ("llama.feed_forward_length", U32, hidden), ("llama.attention.head_count", U32, heads), ("llama.attention.head_count_kv", U32, kv),
              ("llama.attention.layer_norm_rms_epsilon", F32, EPS), ("llama.rope.dimension_count", U32, d // heads),
              ("llama.rope.freq_base", F32, 10000.0), ("llama.vocab_size", U32, VOCAB)] + _vocabulary()
    tensors = [(name, shape, storage if len(shape) == 2 else "f32", lambda number=i, shape=shape: _random(number, shape))
               for i, (name, shape) in enumerate(_tensors(*SHAPES[size]))]
    print(f"writing {to}", flush=True)
    files.write_gguf(to, values, tensors)
    return to
