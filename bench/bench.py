#!/usr/bin/env python3
"""aigc against ONNX Runtime, llama.cpp and PyTorch on the same models: ./dev bench [NAME ...]

    bench.py [NAME ...] [--list] [--install] [--threads 1,2] [--work decode] [--rounds 5] [--quick] [--write] [--aigc build/aigc]

NAME is a case or the beginning of one (llama-110m). Without names all cases are run, and bench/results.md is written; with names it is
written on --write, from these and from what earlier runs on this machine left in bench/.cache.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

try:
    import numpy  # noqa: F401
except ImportError:
    sys.exit("the benchmark needs numpy: apt-get install python3-numpy python3-torch")

from harness import cases, files, report, roofline  # noqa: E402
from harness.contest import Contest  # noqa: E402
from harness.engines import EngineFailed  # noqa: E402
from peers import install  # noqa: E402


def options():
    a = argparse.ArgumentParser(description="Measures aigc against its peers. See bench/README.md.")
    a.add_argument("names", nargs="*", metavar="NAME", help="cases, or beginnings of their names; all when there are none")
    a.add_argument("--list", action="store_true", help="names of the cases")
    a.add_argument("--install", action="store_true", help="install the peers first: npm packages into bench/node_modules, python3-torch by apt-get")
    a.add_argument("--threads", help="numbers of threads, one after the other: 1,2; one and all cores when not given")
    a.add_argument("--work", help="this work of the cases alone: forward, prefill, decode")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--quick", action="store_true", help="three short rounds on all cores alone")
    a.add_argument("--write", action="store_true", help="write bench/results.md, from these cases and those measured before")
    a.add_argument("--aigc", default=cases.Settings.aigc)
    o = a.parse_args()
    cores = len(os.sched_getaffinity(0))
    o.threads = [int(t) for t in o.threads.split(",")] if o.threads else [cores] if o.quick else sorted({1, cores})
    o.rounds = min(o.rounds, 3) if o.quick else o.rounds
    return o


def chosen(names):
    found = [c for c in cases.CASES if not names or any(c.name == n for n in names) or
             any(c.name.startswith(n) and n not in {x.name for x in cases.CASES} for n in names)]
    unknown = [n for n in names if not any(c.name.startswith(n) for c in cases.CASES)]
    if unknown:
        sys.exit(f"no case is named {', '.join(unknown)}; ./dev bench --list names them")
    return found


def run_case(case, o, measured):
    """Lines on memory are added to measured."""
    case.prepare()
    for threads in o.threads:
        with Contest(case, threads) as contest:
            for work in case.works():
                if o.work and not work.label.startswith(o.work):
                    continue
                result, roof = contest.play(work, o.rounds, work.seconds / 2 if o.quick else work.seconds)
                row = report.row_of(case, work, threads, roof, result, os.getloadavg()[0])
                report.keep(row)
                report.keep_roof(roof)
                print(report.line_of(row, max(o.threads)), flush=True)
            if threads == max(o.threads) and not o.work:
                weights, model, options = case.weights()
                row = report.memory_row(case, contest.memory(), weights, cases.states_bytes(model, options))
                report.keep_memory(row)
                measured.append(report.memory_line(row))


def main():
    o = options()
    cases.Settings.aigc = os.path.abspath(o.aigc)
    if o.list:
        print("\n".join(f"{c.name:20} {c.title}" for c in cases.CASES))
        return 0
    if o.install:
        install.install()
    picked, failed, measured = chosen(o.names), [], []
    for t in o.threads:
        print(roofline.describe(roofline.measure(t)))
    print("\n".join(report.HEAD), flush=True)
    for case in picked:
        try:
            run_case(case, o, measured)
        except (EngineFailed, RuntimeError) as e:
            failed.append(case.name)
            print(f"{case.name}: {e}", file=sys.stderr, flush=True)
    if measured:
        print("\n".join(["", *report.MEMORY_HEAD, *measured]))
    if o.write or not o.names:
        with open(os.path.join(files.BENCH, "results.md"), "w") as f:
            f.write(report.page([c.name for c in cases.CASES], install.versions()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
