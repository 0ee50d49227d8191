#!/usr/bin/env python3
"""scripts/bench_attention.py - the Transformer baseline's attention (kernels/attention.h: cuDNN over pages) beside PyTorch's, one decode token.

usage: scripts/bench_attention.py BUILD [--case BATCH,KEYS]... [--quick] [--json FILE]

BUILD: as built by `make BACKEND=cuda tests`; the Python needs torch with CUDA. In one run, on the shapes of Qwen2.5-7B (28 query and 4
key-value heads of 128, bf16), it times every backend of scaled_dot_product_attention (flash, which splits the keys as flash decoding does,
cuDNN and memory-efficient), once as it is asked for by models (enable_gqa) and once with the heads of a group as queries, and flash_attn's
flash_attn_with_kvcache and FlashInfer's decode where they are installed. Theirs read whole rows of keys, ours pages in random order. Every
call reads another layer's keys and values; times are medians of CUDA graphs of one call a layer. The last column is the fastest of theirs
over ours: at least 1 is what the baseline is meant to have.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile

try:
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError as why:
    sys.exit("bench_attention.py: this Python has no torch (%s): install it, or use the Python that has it" % why)

Q_HEADS, KV_HEADS, DIM, PAGE = 28, 4, 128, 128
CASES = [(1, 1024), (1, 32768), (2, 65536), (4, 32768), (5, 32768), (10, 16384), (30, 32768), (42, 4096), (160, 1024), (900, 1024)]
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION}


def layers(batch, keys):
    """So many layers that no cache keeps their keys and values, as far as 16 GB go."""
    each = 2 * batch * keys * KV_HEADS * DIM * 2
    return max(1, min(28, 16 * 10**9 // each, max(4, 400 * 10**6 // each + 1)))


def graph_seconds(calls, quick):
    """Seconds of one of the calls."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for call in calls * 2:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    samples = []
    for i in range(3 if quick else 30):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        samples.append(begin.elapsed_time(end) * 1e-3 / len(calls))
    return statistics.median(samples[1:])


def ways(q, k, v):
    """Name and function of every way that this Python has; q [b, heads, 1, d], k, v [b, kv heads, keys, d]."""
    b, keys = k.shape[0], k.shape[2]
    packed = q.view(b, KV_HEADS, Q_HEADS // KV_HEADS, DIM)

    def sdpa(backend, q, gqa):
        def call():
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(q, k, v, enable_gqa=gqa)
        return call
    for name, backend in BACKENDS.items():
        yield name, sdpa(backend, q, True)
        yield name + ", heads as queries", sdpa(backend, packed, False)
    try:
        from flash_attn import flash_attn_with_kvcache
        fq, fk, fv = (t.transpose(1, 2).contiguous() for t in (q, k, v))
        yield "flash_attn_with_kvcache", lambda: flash_attn_with_kvcache(fq, fk, fv)
    except ImportError:
        pass
    try:
        import flashinfer
        pages = keys // PAGE
        wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(torch.empty(256 << 20, dtype=torch.uint8, device="cuda"), "HND",
                                                                use_tensor_cores=True)
        count = lambda n, step=1: torch.arange(0, n, step, dtype=torch.int32, device="cuda")
        wrapper.plan(count((b + 1) * pages, pages), count(b * pages), torch.full((b,), PAGE, dtype=torch.int32, device="cuda"), Q_HEADS,
                     KV_HEADS, DIM, PAGE, q_data_type=torch.bfloat16, kv_data_type=torch.bfloat16)
        paged = tuple(t.view(b, KV_HEADS, pages, PAGE, DIM).transpose(1, 2).reshape(b * pages, KV_HEADS, PAGE, DIM) for t in (k, v))
        yield "flashinfer, paged", lambda: wrapper.run(q.view(b, Q_HEADS, DIM), paged)
    except ImportError:
        pass


def theirs(batch, keys, quick):
    """Seconds by name; None: it refuses the shape."""
    torch.manual_seed(1)
    normal = lambda *n: torch.randn(n, device="cuda", dtype=torch.bfloat16)
    q = normal(batch, Q_HEADS, 1, DIM)
    caches = [(normal(batch, KV_HEADS, keys, DIM), normal(batch, KV_HEADS, keys, DIM)) for _ in range(layers(batch, keys))]
    took, want = {}, F.scaled_dot_product_attention(q[:1].float(), *(t[:1].float().repeat_interleave(Q_HEADS // KV_HEADS, 1) for t in caches[0]))
    by_layer = [dict(ways(q, k, v)) for k, v in caches]
    for name in by_layer[0]:
        try:
            got = by_layer[0][name]()
            got = (got[0] if isinstance(got, tuple) else got)[:1].reshape(-1).float()
            error = ((got - want.reshape(-1)).norm() / want.norm()).item()
            took[name] = graph_seconds([w[name] for w in by_layer], quick) if error < 0.01 else None
        except (RuntimeError, ValueError, NotImplementedError) as why:
            took[name] = None
            print("  %s: %s" % (name, str(why).strip().split("\n")[0][:120]), file=sys.stderr)
    return took


def ours(build, cases, quick):
    words = ["--case=%d,%d,%d,%d,%d,%d" % (b, n, Q_HEADS, KV_HEADS, DIM, layers(b, n)) for b, n in cases]
    with tempfile.TemporaryDirectory(prefix="bench_attention.") as work:
        path = os.path.join(work, "ours.json")
        program = os.path.join(build, "tests", "bench_attention")
        p = subprocess.run([program, "--json", path, "--page", str(PAGE)] + words + ["--quick"] * quick, capture_output=True, text=True)
        if p.returncode:
            sys.exit("bench_attention.py: %s failed: %s" % (program, (p.stderr or p.stdout)[-2000:].strip()))
        return json.load(open(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n", 2)[2])
    parser.add_argument("build", metavar="BUILD")
    parser.add_argument("--case", action="append", metavar="BATCH,KEYS", help="may be repeated; not given: those of bench_throughput's cells")
    parser.add_argument("--quick", action="store_true", help="few samples: does it run at all?")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench_attention.py: torch sees no GPU")
    cases = [tuple(int(x) for x in c.split(",")) for c in args.case] if args.case else CASES
    mine = ours(args.build, cases, args.quick)
    group = mine["groups"][0]
    print("%s; torch %s, cuDNN of torch %s; reading at %.0f GB/s" %
          (mine["device"], torch.__version__, torch.backends.cudnn.version(), group["read_bytes_per_s"] * 1e-9))
    print("| sequences x keys | ours us | of the memory's rate | how | best of theirs us | which | theirs / ours |\n|---|---|---|---|---|---|---|")
    rows = []
    for (b, n), row in zip(cases, group["ops"]):
        took = theirs(b, n, args.quick)
        torch.cuda.empty_cache()
        known = {k: s for k, s in took.items() if s is not None}
        best = min(known, key=known.get) if known else None
        print("| %d x %d | %.1f | %.0f%% | %s | %s | %s | %s |" %
              (b, n, row["seconds"] * 1e6, 100 * row["bound_s"] / row["seconds"], row["how"], "%.1f" % (known[best] * 1e6) if best else "-",
               best or "none", "%.2f" % (known[best] / row["seconds"]) if best else "-"), flush=True)
        rows.append({"batch": b, "keys": n, "ours_s": row["seconds"], "bound_s": row["bound_s"], "how": row["how"], "theirs_s": took})
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"device": mine["device"], "torch": torch.__version__, "rows": rows}, f, indent=1)


main()
