"""The engines that are compared. Each is a process that loads a model once and then answers requests, one JSON line each:

    {"op": "time", "work": W, "seconds": s}   runs W again and again for s seconds, at least once -> {"ms": [...]}
    {"op": "output", "work": W, "file": f}    runs W once and writes its first result as f32 numbers -> {"count": n, "ms": t}
    {"op": "memory"}                          -> see serve.memory

W is an object: {"do": "forward"}; for language models {"do": "prefill", "n": tokens} and {"do": "decode", "at": tokens already
there, "n": steps of one token}. Before the first request an engine says {"ready": ..., what it is}.
"""
