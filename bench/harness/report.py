"""From what was measured to text. Rows are kept in the cache, so that parts of the bench can be run one at a time."""
import datetime
import os
import platform

from harness import files, roofline

STORE = "results.json"


def row_of(case, work, threads, roof, result, load):
    """One work of one case with one number of threads, as it is kept."""
    mine = next(c for c in result if c.ours)
    peers = [c for c in result if not c.ours]
    best = min(peers, key=lambda c: result[c]["ms"], default=None)
    ideal = roofline.ideal_ms(roof, work)
    row = {"case": case.name, "title": case.title, "family": case.family, "work": work.label, "threads": threads, "tokens": work.tokens,
           "date": str(datetime.date.today()), "load": load, "ours": {"name": mine.name, **result[mine]}, "ideal_ms": ideal,
           "peers": {c.name: result[c] for c in peers}, "best": best.name if best else None, "targets": []}
    for against, ratio in work.targets.items():
        row["targets"].append({"against": against, "wanted": ratio, "found": _found(against, mine, peers, result, ideal)})
    return row


def _found(against, mine, peers, result, ideal):
    """Our speed in shares of the roofline, or in that of a peer; None where the peer is not here."""
    if against == "roofline":
        return ideal / result[mine]["ms"]
    times = [result[c]["ms"] for c in peers if against in ("best", c.peer)]
    return min(times) / result[mine]["ms"] if times else None


def speed(ms, tokens):
    if tokens:
        rate = 1e3 * tokens / ms
        return f"{rate:.0f} tokens/s" if rate >= 100 else f"{rate:.1f} tokens/s"
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms"


def verdict(target, threads, most):
    """The aim is set for all cores."""
    if target["found"] is None:
        return "no peer"
    wanted, found = target["wanted"], target["found"]
    as_text = f"{wanted:.0%} of the roofline" if target["against"] == "roofline" else \
        f"{wanted:g} x" + ("" if target["against"] == "best" else f" {target['against']}")
    found_text = f"{found:.0%}" if target["against"] == "roofline" else f"{found:.2f}"
    if threads < most:
        return as_text
    return f"{as_text}: **{'hit' if found >= wanted else 'miss'}** ({found_text})"


HEAD = ["| work | threads | aigc | share of the roofline | best peer | its share | ratio | target | difference of results |",
        "|---|---|---|---|---|---|---|---|---|"]


def line_of(row, most):
    mine = row["ours"]
    cells = [f"{row['title']}, {row['work']}" if row["tokens"] else row["title"], str(row["threads"]),
             speed(mine["ms"], row["tokens"]) + (" (rough)" if mine["rough"] else ""), f"{row['ideal_ms'] / mine['ms']:.0%}"]
    if row["best"]:
        best = row["peers"][row["best"]]
        cells += [f"{speed(best['ms'], row['tokens'])}, {row['best']}", f"{row['ideal_ms'] / best['ms']:.0%}", f"{best['ms'] / mine['ms']:.2f} x"]
    else:
        cells += ["none here", "", ""]
    cells.append("; ".join(verdict(t, row["threads"], most) for t in row["targets"]) or "none set")
    cells.append(", ".join(f"{p['error']:.1e}" for p in [row["peers"].get(row["best"])] if p))
    return "| " + " | ".join(cells) + " |"


def memory_row(case, memory, weights, states):
    """Peak memory of all engines that tell, next to what the weights, the model's formula (states and arena) and the caller's own tensors ask for."""
    mine = next(m for c, m in memory.items() if c.ours)
    peers = {c.name: m for c, m in memory.items() if not c.ours and "peak" in m}
    return {"case": case.name, "title": case.title, "ours": mine, "weights": weights, "formula": states + mine["arena"] + mine.get("tensors", 0), "peers": peers}


MEMORY_HEAD = ["| model | weights | states, arena, arguments and results | aigc: peak | of it no file's pages, at the end | peak within weights + formula + 10 MB | peer: peak | no file's pages |",
               "|---|---|---|---|---|---|---|---|"]


def memory_line(row):
    def mb(x):
        return f"{x / 1e6:.0f} MB"
    mine, allowed = row["ours"], row["weights"] + row["formula"] + 10e6
    cells = [row["title"], mb(row["weights"]), mb(row["formula"]), mb(mine["peak"]), mb(mine["own"]),
             f"**{'hit' if mine['peak'] <= allowed else 'miss'}** ({mb(mine['peak'] - row['weights'] - row['formula'])} over weights + formula)"]
    name, peer = min(row["peers"].items(), key=lambda p: p[1]["peak"], default=("", None))
    cells += [f"{mb(peer['peak'])}, {name}", mb(peer["own"])] if peer else ["", ""]
    return "| " + " | ".join(cells) + " |"


def load_rows():
    return files.read_json(files.cached(STORE), {})


def keep(row):
    rows = load_rows()
    rows[f"{row['case']}/{row['work']}/{row['threads']}"] = row
    files.write_json(files.cached(STORE), rows)


def keep_memory(row):
    rows = files.read_json(files.cached("memory.json"), {})
    rows[row["case"]] = row
    files.write_json(files.cached("memory.json"), rows)


def keep_roof(roof):
    rows = files.read_json(files.cached("roofs.json"), {})
    rows[str(roof["threads"])] = roof
    files.write_json(files.cached("roofs.json"), rows)


def cpu():
    try:
        with open("/proc/cpuinfo") as f:
            return next(line.split(":")[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def page(order, versions):
    """results.md: a table a family, in the order of the cases."""
    rows = sorted((r for r in load_rows().values() if r["case"] in order), key=lambda r: (order.index(r["case"]), r["work"] == "decode", r["threads"]))
    most = max((r["threads"] for r in rows), default=1)
    roofs = files.read_json(files.cached("roofs.json"), {})
    judged = [t for r in rows if r["threads"] == most for t in r["targets"] if t["found"] is not None]
    hits = sum(t["found"] >= t["wanted"] for t in judged)
    dates = sorted({r["date"] for r in rows})
    lines = ["# Results", "", f"`./dev bench` ({' to '.join(dict.fromkeys((dates[0], dates[-1]))) if dates else 'never run'}): {cpu()}, {os.cpu_count()} cores; "
             + ", ".join(versions) + ".", "",
             "Engines take turns on the same model, weights and input; medians. A ratio above 1 means that aigc is that many times as fast as the best peer in its "
             "better setting. The roofline of a work is the longer of two times: its arithmetic at the peak, and its weights at the rate of memory; weights that "
             "stay in caches can exceed it. Peaks are measured between the rounds of every work, as the host's speed moves; their medians count. Targets are for all cores.", "", f"**{hits} of {len(judged)} targets are hit.**", "", "Peaks during the last work measured:", "",
             *(f"- {roofline.describe(r)}" for r in roofs.values()), ""]
    for family in dict.fromkeys(r["family"] for r in rows):
        lines += [f"## {family}", "", *HEAD, *(line_of(r, most) for r in rows if r["family"] == family), ""]
    memory = files.read_json(files.cached("memory.json"), {})
    if memory:
        lines += ["## Memory", "", "Of the process beyond what Python had before the model came; with all cores' threads.", "", *MEMORY_HEAD,
                  *(memory_line(memory[c]) for c in order if c in memory), ""]
    if any(r["ours"]["rough"] for r in rows):
        lines += ["Rough: other work kept the machine busy in every round.", ""]
    return "\n".join(lines).rstrip() + "\n"
