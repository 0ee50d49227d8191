#!/usr/bin/env python3
"""scripts/bench_parquet.py - reading Parquet: ours and pyarrow's, on the same files in one run.

usage: scripts/bench_parquet.py BUILD_DIR [FILE.parquet ...] [--mb 300] [--repeat 5]

Needs pyarrow. Without files it makes some in a temporary folder: long texts as in reasoning sets (one column of about 40 kB a row and small
ones) under each codec, conversations (list<struct>), and short rows of numbers and words. Texts are pieces of this repository's sources.

Each file is read to its end by both in turn, --repeat times, and the best is kept. Ours walks the rows and copies every value into packed
bytes; pyarrow makes a Table (read_table, memory-mapped), on one thread and on all. MB/s are of decoded content, as Arrow counts it.
"""
import argparse, glob, json, os, random, subprocess, sys, tempfile, time

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as why:
    sys.exit("bench_parquet.py: this Python has no pyarrow (%s): pip install pyarrow, or use the Python that has it" % why)

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def make_files(folder, mb):
    random.seed(1)
    source = "".join(open(f, encoding="utf-8").read() for f in sorted(glob.glob(os.path.join(ROOT, "*", "*.[ch]"))))
    piece = lambda n: source[(at := random.randrange(len(source) - n)):at + n]
    rows = int(mb * 1e6 / 42000)
    long = pa.table({"id": [f"{i:032x}" for i in range(rows)], "input": [piece(1500) for _ in range(rows)],
                     "output": [piece(random.randrange(5000, 75000)) for _ in range(rows)],
                     "source": [random.choice(["codeforces", "aizu", "codechef"]) for _ in range(rows)], "license": ["cc-by-4.0"] * rows})
    talk = pa.table({"conversations": [[{"from": "user", "value": piece(600)}, {"from": "assistant", "value": piece(random.randrange(2000, 18000))}]
                                       for _ in range(rows * 4)], "id": list(range(rows * 4))})
    short = pa.table({"id": list(range(rows * 100)), "score": [random.random() for _ in range(rows * 100)],
                      "word": [piece(random.randrange(4, 60)) for _ in range(rows * 100)], "kind": [random.choice("abcdef") for _ in range(rows * 100)]})
    files = []
    for name, table, codecs in [("long", long, ["snappy", "zstd", "gzip", "none"]), ("conversations", talk, ["snappy", "zstd"]), ("short", short, ["snappy", "zstd"])]:
        for codec in codecs:
            files.append(os.path.join(folder, f"{name}.{codec}.parquet"))
            pq.write_table(table, files[-1], compression=codec, row_group_size=100000 if name == "short" else 1000)
    return files


def arrow(path, threads):
    start, cpu = time.perf_counter(), time.process_time()
    table = pq.read_table(path, use_threads=threads, memory_map=True)
    return time.perf_counter() - start, time.process_time() - cpu, table.nbytes, table.num_rows


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("build")
    a.add_argument("files", nargs="*")
    a.add_argument("--mb", type=float, default=300)
    a.add_argument("--repeat", type=int, default=5)
    a = a.parse_args()
    program = os.path.join(a.build, "tests", "bench_parquet")
    with tempfile.TemporaryDirectory() as folder:
        files = a.files or make_files(folder, a.mb)
        print(f"pyarrow {pa.__version__}, {pa.cpu_count()} threads; best of {a.repeat}; MB/s of decoded content")
        print("| file | rows | MB on disk / decoded | ours, 1 thread | pyarrow, 1 thread | pyarrow, all threads | pyarrow's CPU time / ours | our peak memory |")
        print("|---|---|---|---|---|---|---|---|")
        for path in files:
            ours, one, every, pyarrow_cpu = [], [], [], []
            for _ in range(a.repeat):
                r = json.loads(subprocess.run([program, path], check=True, capture_output=True, text=True).stdout)
                ours.append((r["s"], r["cpu_s"]))
                s, cpu, n, rows = arrow(path, False)
                one.append(s)
                pyarrow_cpu.append(cpu)
                every.append(arrow(path, True)[0])
                assert rows == r["rows"], (rows, r)
            s, cpu = min(o[0] for o in ours), min(o[1] for o in ours)
            rate = lambda t: f"{n / t / 1e6:.0f}"
            print(f"| {os.path.basename(path)} | {rows} | {r['file_bytes'] / 1e6:.0f} / {n / 1e6:.0f} | {rate(s)} | {rate(min(one))} | {rate(min(every))} | "
                  f"{min(pyarrow_cpu) / cpu:.2f} | {r['peak_mb']:.0f} MB |", flush=True)


main()
