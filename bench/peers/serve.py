"""The side of the protocol that all engines in Python share. See peers/__init__.py."""
import json
import os
import sys
import time


def _status(*keys):
    """Fields of /proc/self/status, in bytes."""
    found = {}
    with open("/proc/self/status") as f:
        for line in f:
            key, _, rest = line.partition(":")
            if key in keys:
                found[key] = 1024 * int(rest.split()[0])
    return found


def _shares():
    """This process's share of pages that are no file's, and of those that are."""
    with open("/proc/self/smaps_rollup") as f:
        pss = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in f if line.startswith("Pss")}
    return {"own": pss.get("Pss_Anon", 0), "file": pss.get("Pss_File", 0)}


def begin_memory():
    """Forgets the peak so far: from here on memory is the model's. Gives what the process has already, for `memory`."""
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")
    return {"peak": _status("VmRSS")["VmRSS"], **_shares()}


def memory(before):
    """Bytes since begin_memory: the most that was resident at one time, what is resident now and no page of a file, and what is one."""
    now = {"peak": _status("VmHWM")["VmHWM"], **_shares()}
    return {k: now[k] - before[k] for k in now}


def serve(engine, about, before):
    """engine: has run(work), and output(work) which runs it and gives a numpy array. rest(), if there, quiets its threads."""
    rest = getattr(engine, "rest", lambda: None)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not get in between

    def answer(**what):
        print(json.dumps(what), file=out, flush=True)

    answer(ready=about)
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "time":
            times, end = [], time.perf_counter() + request["seconds"]
            while not times or time.perf_counter() < end:
                start = time.perf_counter()
                engine.run(request["work"])
                times.append(1e3 * (time.perf_counter() - start))
            rest()
            answer(ms=times[1:] if len(times) > 3 else times)  # the first finds caches full of another's data
        elif request["op"] == "output":
            start = time.perf_counter()
            x = engine.output(request["work"])
            took = 1e3 * (time.perf_counter() - start)
            rest()
            x.astype("float32", copy=False).tofile(request["file"])
            answer(count=int(x.size), ms=took)
        elif request["op"] == "memory":
            answer(**memory(before), **getattr(engine, "facts", lambda: {})())


def tokens(n, vocab):
    """The text that every language model reads: n numbers below vocab."""
    return [(i * 7919 + 13) % vocab for i in range(n)]
