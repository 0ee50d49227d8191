#!/usr/bin/env python3
"""scripts/bench_peers.py - the scan, the gated norm and the convolution: ours and state-spaces/mamba's, timed in one run on the same
inputs, and both checked against the float64 recurrence.

usage: scripts/bench_peers.py BUILD_DIR [--mamba CHECKOUT] [--tokens 2048,16384,20480] [--slow 131072] [--shape H,P,G,N] [--json FILE]

Needs torch; for the peers a GPU, triton, einops, packaging, and CHECKOUT, a checkout of github.com/state-spaces/mamba (nothing of it is
compiled: only its Triton kernels are imported). causal-conv1d is timed if it can be imported. Without --mamba ours alone, also on a CPU.

Inputs are random, spread as in a new model: in_proj's output normal, dt_bias and A_log as initialised, x, B and C convolved. --slow: one
more case of so many tokens, a quarter of the heads and states that hardly decay (A divided by 10,000), so that they grow; 0: none.

Times are medians of back-to-back calls after warm-up, without the host's launch time; floor is the larger of bytes / copy rate and
FLOPs / product rate, both measured in the run. Errors are relative Frobenius norms: for each op the largest of the results that have a row
per token, then every one.
"""
import argparse, json, math, os, statistics, subprocess, sys, tempfile, time, types

try:
    import torch
    import torch.nn.functional as F
except ImportError as why:
    sys.exit("bench_peers.py: this Python has no torch (%s): install it, or use the Python that has it" % why)

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
TYPE = torch.bfloat16 if GPU else torch.float32
F64 = torch.float64
CHUNK, CONV, EPS = 256, 4, 1e-5


class Shape:
    def __init__(self, tokens, heads, headdim, groups, state):
        self.T, self.H, self.P, self.G, self.N = tokens, heads, headdim, groups, state
        self.inner, self.gn = heads * headdim, groups * state
        self.conv = self.inner + 2 * self.gn
        self.proj = self.inner + self.conv + heads

    def split(self, conv):
        """x, B, C of [T, x | B | C]: views."""
        x, B, C = conv.split([self.inner, self.gn, self.gn], 1)
        return x.unflatten(1, (self.H, self.P)), B.unflatten(1, (self.G, self.N)), C.unflatten(1, (self.G, self.N))


# --- inputs, and the way to and from bench_peer ---


def make_inputs(s, slow):
    g = torch.Generator(DEVICE).manual_seed(20240521)
    normal = lambda *n: torch.randn(n, generator=g, device=DEVICE, dtype=torch.float32)
    uniform = lambda *n: torch.rand(n, generator=g, device=DEVICE, dtype=torch.float32)
    v = {"proj": torch.empty(s.T, s.proj, device=DEVICE, dtype=TYPE)}
    for rows in v["proj"].split(8192):
        rows.copy_(normal(*rows.shape) * 3**-0.5)
    v["conv_w"], v["conv_b"] = uniform(s.conv, CONV) - 0.5, uniform(s.conv) - 0.5
    v["conv"] = torch.empty(s.T, s.conv, device=DEVICE, dtype=TYPE)
    for c in range(0, s.conv, 1024):
        part = slice(c, min(c + 1024, s.conv))
        v["conv"][:, part] = conv_exact(v["proj"][:, s.inner:][:, part].float(), v["conv_w"][part], v["conv_b"][part])
    v["y"], v["dy"] = (torch.empty(s.T, s.inner, device=DEVICE, dtype=TYPE) for _ in range(2))
    for rows in (*v["y"].split(8192), *v["dy"].split(8192)):
        rows.copy_(normal(*rows.shape))
    dt = torch.exp(math.log(0.001) + uniform(s.H) * math.log(100))
    v["dt_bias"] = dt + torch.log(-torch.expm1(-dt))
    v["A_log"] = torch.log(1 + 15 * uniform(s.H)) - (math.log(1e4) if slow else 0)
    v["D"], v["gate_w"] = 1 + 0.1 * normal(s.H), 1 + 0.1 * normal(s.inner)
    return v


def put(path, t):
    torch.from_file(path, shared=True, size=t.numel(), dtype=t.dtype).copy_(t.reshape(-1))


def get(path, dtype, *shape):
    return torch.from_file(path, shared=False, size=math.prod(shape), dtype=dtype).to(DEVICE, copy=True).view(shape)


def run_ours(build, s, v, quick):
    """Our outputs by name, and {op: {"seconds", "bound_s", ...}}."""
    with tempfile.TemporaryDirectory(prefix="bench_peers.") as work:
        for name, t in v.items():
            put(os.path.join(work, name), t)
        problem = {"tokens": s.T, "heads": s.H, "headdim": s.P, "groups": s.G, "state": s.N, "chunk": CHUNK, "conv": CONV}
        with open(os.path.join(work, "problem.json"), "w") as f:
            json.dump(dict(problem, type="bf16" if GPU else "f32"), f)
        if GPU:
            torch.cuda.empty_cache()
        program = os.path.join(build, "tests", "bench_peer")
        p = subprocess.run([program, work] + ["--quick"] * quick, capture_output=True, text=True)
        if p.returncode:
            sys.exit("bench_peers.py: %s failed: %s" % (program, (p.stderr or p.stdout)[-2000:].strip()))
        matrices = {"y_out": s.inner, "gate_out": s.inner, "dgate": s.inner, "conv_out": s.conv, "dconv": s.conv, "dproj": s.proj}
        floats = {"state_out": (s.H, s.P, s.N), "dgate_w": (s.inner,), "dconv_w": (s.conv, CONV), "dconv_b": (s.conv,), "ddt_bias": (s.H,),
                  "dA_log": (s.H,), "dD": (s.H,)}
        out = {name: get(os.path.join(work, name), TYPE, s.T, cols) for name, cols in matrices.items()}
        out.update((name, get(os.path.join(work, name), torch.float32, *shape)) for name, shape in floats.items())
        with open(os.path.join(work, "result.json")) as f:
            result = json.load(f)
    return out, result, {o["op"]: o for o in result["groups"][0]["ops"]}


# --- exact: float64, and gradients by torch ---


def conv_exact(x, w, b):
    """silu(b + sum_k w[k] x[t-K+1+k]) of columns [T, C]."""
    padded = F.pad(x, (0, 0, CONV - 1, 0))
    return F.silu(b + sum(padded[k:k + len(x)] * w[:, k] for k in range(CONV)))


def chunk_exact(S, x, B, C, dt, dt_bias, A_log, D):
    """The recurrence over Q tokens from state S [G, h, P, N], all pairs at once. x [Q, G, h, P]; B, C [Q, G, N]; dt [Q, G, h]; the rest
    [G, h]. Every exponent is at most 0, so nothing overflows however fast a state decays."""
    dt = torch.logaddexp(dt + dt_bias, torch.zeros_like(dt))
    cum = torch.cumsum(-torch.exp(A_log) * dt, 0)
    causal = torch.ones(len(x), len(x), dtype=torch.bool, device=DEVICE).tril()[:, :, None, None]
    decay = torch.exp(torch.where(causal, cum[:, None] - cum[None], -math.inf))
    pairs = torch.einsum("ign,jgn->ijg", C, B)[..., None] * decay * dt
    y = torch.einsum("ijgh,jghp->ighp", pairs, x) + torch.einsum("ign,ghpn->ighp", C, S) * torch.exp(cum)[..., None] + D[..., None] * x
    left = torch.exp(cum[-1] - cum) * dt
    return y, torch.exp(cum[-1])[..., None, None] * S + torch.einsum("jghp,jgn->ghpn", left[..., None] * x, B)


def scan_exact(s, v, Q=128):
    """y, the last state and all gradients; the state entering each chunk is kept, and a chunk is run again for its gradients."""
    x, B, C = s.split(v["conv"])
    x, dy = x.unflatten(1, (s.G, -1)), v["dy"].view(s.T, s.G, -1, s.P)
    dt = v["proj"][:, -s.H:].view(s.T, s.G, -1)
    weights = [v[k].to(F64).view(s.G, -1) for k in ("dt_bias", "A_log", "D")]
    chunks = [slice(i, min(i + Q, s.T)) for i in range(0, s.T, Q)]
    tokens = lambda c: [t[c].to(F64) for t in (x, B, C, dt)]
    y, dx = (torch.empty(dy.shape, device=DEVICE, dtype=F64) for _ in range(2))
    dB, dC = (torch.empty(B.shape, device=DEVICE, dtype=F64) for _ in range(2))
    ddt, dweights = torch.empty(dt.shape, device=DEVICE, dtype=F64), [torch.zeros_like(w) for w in weights]
    S = torch.zeros(s.G, s.H // s.G, s.P, s.N, device=DEVICE, dtype=F64)
    entering = []
    for c in chunks:
        entering.append(S)
        y[c], S = chunk_exact(S, *tokens(c), *weights)
    last, dS = S, torch.zeros_like(S)
    for c in reversed(chunks):
        inputs = [t.requires_grad_() for t in (entering.pop(), *tokens(c), *(w.clone() for w in weights))]
        outputs = chunk_exact(*inputs)
        dS, dx[c], dB[c], dC[c], ddt[c], *dw = torch.autograd.grad(outputs, inputs, (dy[c].to(F64), dS))
        for total, part in zip(dweights, dw):
            total += part
    return {"y": y.view(s.T, -1), "state": last.view(s.H, s.P, s.N), "dx": dx.view(s.T, -1), "dB": dB.view(s.T, -1), "dC": dC.view(s.T, -1),
            "ddt": ddt.view(s.T, -1), **{k: t.view(-1) for k, t in zip(("ddt_bias", "dA_log", "dD"), dweights)}}


def pieces_exact(fn, parts, count):
    """fn(part) gives ([inputs] in float64, output, gradient of it): outputs and gradients of each part, concatenated by the caller."""
    out = [[] for _ in range(count)]
    for part in parts:
        inputs, output, gradient = fn(part)
        for to, t in zip(out, (output.detach(), *torch.autograd.grad(output, inputs, gradient))):
            to.append(t)
    return out


def gate_exact(s, v):
    def rows(part):
        y, z = (t[part].to(F64).requires_grad_() for t in (v["y"], v["proj"][:, :s.inner]))
        w = v["gate_w"].to(F64).requires_grad_()
        g = (y * F.silu(z)).unflatten(1, (s.G, -1))
        return (y, z, w), (g * torch.rsqrt(g.square().mean(-1, keepdim=True) + EPS)).flatten(1) * w, v["dy"][part].to(F64)

    out, dy, dz, dw = pieces_exact(rows, [slice(i, i + 2048) for i in range(0, s.T, 2048)], 4)
    return {"out": torch.cat(out), "dy": torch.cat(dy), "dz": torch.cat(dz), "dw": sum(dw)}


def convolution_exact(s, v):
    def columns(part):
        x = v["proj"][:, s.inner:s.inner + s.conv][:, part].to(F64).requires_grad_()
        w, b = (v[k][part].to(F64).requires_grad_() for k in ("conv_w", "conv_b"))
        return (x, w, b), conv_exact(x, w, b), v["conv"][:, part].to(F64)

    out, dx, dw, db = pieces_exact(columns, [slice(c, min(c + 1024, s.conv)) for c in range(0, s.conv, 1024)], 4)
    return {"out": torch.cat(out, 1), "dx": torch.cat(dx, 1), "dw": torch.cat(dw), "db": torch.cat(db)}


# --- the peers ---


def import_peers(checkout):
    """Their Triton kernels. An empty package stands in for mamba_ssm/__init__.py, which would import compiled extensions."""
    folder = os.path.join(checkout, "mamba_ssm")
    if not os.path.isfile(os.path.join(folder, "ops", "triton", "ssd_combined.py")):
        sys.exit("bench_peers.py: --mamba %s: expected a checkout of state-spaces/mamba (mamba_ssm/ops/triton/ssd_combined.py)" % checkout)
    if not GPU:
        sys.exit("bench_peers.py: --mamba: its kernels need a GPU, and torch sees none; without --mamba ours are checked alone")
    package = types.ModuleType("mamba_ssm")
    package.__path__ = [folder]
    sys.modules["mamba_ssm"] = package
    try:
        from mamba_ssm.ops.triton import layernorm_gated, ssd_combined
    except ImportError as why:
        sys.exit("bench_peers.py: --mamba %s: %s (einops and packaging may lie in a folder that PYTHONPATH names)" % (checkout, why))
    try:
        from causal_conv1d import cpp_functions as conv
    except ImportError:
        conv = None
    return ssd_combined, layernorm_gated, conv


def forget_tuning():
    """Their kernels choose their tiles once for a shape without its tokens: let them choose anew."""
    for name, module in list(sys.modules.items()):
        if name.startswith("mamba_ssm."):
            for kernel in list(vars(module).values()):
                while kernel is not None:
                    if hasattr(kernel, "configs") and hasattr(kernel, "cache"):
                        kernel.cache.clear()
                    kernel = getattr(kernel, "fn", None)


def seconds(fn):
    """Median time of a call. The device is put to sleep while the calls are queued, so that none of it is the host's launching."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]

    def batch(n, cycles):
        torch.cuda._sleep(cycles)
        events[0].record()
        for _ in range(n):
            fn()
        events[1].record()
        torch.cuda.synchronize()
        return events[0].elapsed_time(events[1]) / 1e3 / n

    fn(), fn()  # tunes and compiles
    torch.cuda.synchronize()
    begin = time.perf_counter()
    fn()
    host = time.perf_counter() - begin
    torch.cuda.synchronize()
    one = batch(1, 10**7)
    n = max(1, min(16, int(0.004 / one) + 1))
    cycles = int(2 * host * n * 2e9) + 10**6
    samples, begin = [], time.perf_counter()
    while len(samples) < 5 or (len(samples) < 63 and time.perf_counter() - begin < 1):
        samples.append(batch(n, cycles))
    return statistics.median(samples)


def run_peers(peers, s, v):
    """Outputs by op and name, and seconds by op."""
    ssd, norm, conv = peers
    forget_tuning()
    out, took = {}, {}
    x, B, C = (t[None] for t in s.split(v["conv"]))
    z, xBC, dt = (t[None] for t in v["proj"].split([s.inner, s.conv, s.H], 1))
    dy, A = v["dy"].view(1, s.T, s.H, s.P), -torch.exp(v["A_log"])
    how = dict(D=v["D"], dt_bias=v["dt_bias"], dt_softplus=True)
    forward = lambda: ssd._mamba_chunk_scan_combined_fwd(x, dt, A, B, C, CHUNK, **how)
    took["ssd fwd"] = seconds(forward)
    y, _, _, _, _, state = forward()
    # Gradients go where training wants them: slices of one matrix.
    dconv, dproj = torch.empty_like(v["conv"]), torch.empty_like(v["proj"])
    dx, dB, dC = (t[None] for t in s.split(dconv))
    into = dict(dx=dx, dB=dB, dC=dC, ddt=dproj[None, :, -s.H:])
    backward = lambda: ssd._mamba_chunk_scan_combined_bwd(dy, x, dt, A, B, C, y, CHUNK, **into, **how)
    took["ssd bwd"] = seconds(backward)
    _, _, dA, _, _, dD, _, ddt_bias, _ = backward()
    out["ssd fwd"] = {"y": y.view(s.T, -1), "state": state.view(s.H, s.P, s.N)}
    dx, dB, dC = dconv.split([s.inner, s.gn, s.gn], 1)
    out["ssd bwd"] = {"dx": dx, "dB": dB, "dC": dC, "ddt": dproj[:, -s.H:], "ddt_bias": ddt_bias, "dA_log": dA * A, "dD": dD}

    how = dict(group_size=s.inner // s.G, norm_before_gate=False, is_rms_norm=True)
    forward = lambda: norm._layer_norm_fwd(v["y"], v["gate_w"], None, EPS, z[0], **how)
    took["gatenorm fwd"] = seconds(forward)
    g, _, rstd = forward()
    dz = dproj[:, :s.inner]
    backward = lambda: norm._layer_norm_bwd(v["dy"], v["y"], v["gate_w"], None, EPS, None, rstd, z[0], dz=dz, **how)
    took["gatenorm bwd"] = seconds(backward)
    dgate, dw = backward()[:2]
    out["gatenorm fwd"], out["gatenorm bwd"] = {"out": g}, {"dy": dgate, "dz": dz, "dw": dw}

    if conv:
        last = lambda t: t.transpose(1, 2)  # channels last, as their block calls it
        given = last(xBC), v["conv_w"], v["conv_b"]
        forward = lambda: conv.causal_conv1d_fwd_function(*given, None, None, None, True)
        took["conv fwd"] = seconds(forward)
        into = last(dproj[None, :, s.inner:s.inner + s.conv])
        backward = lambda: conv.causal_conv1d_bwd_function(*given, last(v["conv"][None]), None, None, None, into, False, True)
        took["conv bwd"] = seconds(backward)
        dx, dw, db = backward()[:3]
        out["conv fwd"], out["conv bwd"] = {"out": last(forward())[0]}, {"dx": last(dx)[0], "dw": dw, "db": db}
    return out, took


# --- the table ---


def error(got, want):
    """|got - want| / |want|; not finite somewhere: infinity."""
    diff = sum((g.to(F64) - w).square().sum() for g, w in zip(got.split(4096), want.split(4096))).sqrt()
    e = (diff / want.norm()).item()
    return e if math.isfinite(e) else math.inf


def sorted_ours(s, o):
    dx, dB, dC = o["dconv"].split([s.inner, s.gn, s.gn], 1)
    dz, dxBC, ddt = o["dproj"].split([s.inner, s.conv, s.H], 1)
    return {
        "ssd fwd": {"y": o["y_out"], "state": o["state_out"]},
        "ssd bwd": {"dx": dx, "dB": dB, "dC": dC, "ddt": ddt, "ddt_bias": o["ddt_bias"], "dA_log": o["dA_log"], "dD": o["dD"]},
        "gatenorm fwd": {"out": o["gate_out"]}, "gatenorm bwd": {"dy": o["dgate"], "dz": dz, "dw": o["dgate_w"]},
        "conv fwd": {"out": o["conv_out"]}, "conv bwd": {"dx": dxBC, "dw": o["dconv_w"], "db": o["dconv_b"]},
    }


def case(build, peers, s, slow, quick):
    v = make_inputs(s, slow)
    raw, result, rows = run_ours(build, s, v, quick)
    ours = sorted_ours(s, raw)
    theirs, took = run_peers(peers, s, v) if peers else ({}, {})
    exact = {}
    for name, compute in (("ssd", scan_exact), ("gatenorm", gate_exact), ("conv", convolution_exact)):
        want = compute(s, v)
        for op in (name + " fwd", name + " bwd"):
            exact[op] = {k: [error(o[op][k], want[k]) if op in o else None for o in (ours, theirs)] for k in ours[op]}
    table = []
    print("\nT = %d, %d heads of %d, %d groups, state %d%s; copy %.0f GB/s" %
          (s.T, s.H, s.P, s.G, s.N, ", slow decay" if slow else "", result["groups"][0]["copy_bytes_per_s"] * 1e-9))
    print("%-20s %10s %10s %8s %10s %12s %12s" % ("op", "ours us", "peer us", "ratio", "floor us", "error ours", "error peer"))
    number = lambda form, x, scale=1: "-" if x is None else form % (x * scale)
    for op, row in rows.items():
        ours_s, peer_s, errors = row["seconds"], took.get(op), exact.get(op, {})
        per_token = [e for k, e in errors.items() if k in ("y", "out", "dx", "dB", "dC", "ddt", "dy", "dz")]
        worst = [max((e[i] for e in per_token if e[i] is not None), default=None) for i in range(2)]
        columns = [number("%.1f", peer_s, 1e6), number("%.2f", peer_s and peer_s / ours_s), "%.1f" % (row["bound_s"] * 1e6)]
        print("%-20s %10.1f %10s %8s %10s %12s %12s" % (op, ours_s * 1e6, *columns, *(number("%.2e", e) for e in worst)))
        if len(errors) > 1:
            print("    " + "   ".join("%s %.2e / %s" % (k, e[0], number("%.2e", e[1])) for k, e in errors.items()))
        table.append({"op": op, "ours_s": ours_s, "peer_s": peer_s, "floor_s": row["bound_s"],
                      "errors": {k: dict(zip(("ours", "peer"), e)) for k, e in errors.items()}})
    sys.stdout.flush()
    return {"tokens": s.T, "heads": s.H, "headdim": s.P, "groups": s.G, "state": s.N, "slow": slow, "rows": table, "ours": result}


def numbers(text):
    return [int(n) for n in text.split(",")]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", metavar="BUILD_DIR")
    p.add_argument("--mamba", metavar="CHECKOUT")
    p.add_argument("--tokens", type=numbers, default=[2048, 16384, 20480] if GPU else [300])
    p.add_argument("--slow", type=int, default=131072 if GPU else 1000, metavar="TOKENS")
    p.add_argument("--shape", type=numbers, default=[128, 64, 8, 128] if GPU else [8, 16, 4, 32], metavar="H,P,G,N")
    p.add_argument("--quick", action="store_true", help="one sample each of ours: does it run at all?")
    p.add_argument("--json", metavar="FILE")
    a = p.parse_args()
    if not os.access(os.path.join(a.build, "tests", "bench_peer"), os.X_OK):
        sys.exit("bench_peers.py: %s/tests/bench_peer is not there: make BACKEND=%s tests" % (a.build, "cuda" if GPU else "cpu"))
    if len(a.shape) != 4 or min(a.shape) < 1 or a.shape[0] % a.shape[2]:
        p.error("--shape: expected heads, head width, groups, state; heads a multiple of groups")
    peers = import_peers(a.mamba) if a.mamba else None
    H, P, G, N = a.shape
    print("%s, torch %s; ours: %s; peers: %s" % (torch.cuda.get_device_name() if GPU else "CPU", torch.__version__, a.build,
                                                 a.mamba + (", causal-conv1d" if peers and peers[2] else "") if a.mamba else "none"))
    cases = [case(a.build, peers, Shape(t, H, P, G, N), False, a.quick) for t in a.tokens]
    if a.slow:
        part = 4 if G % 4 == 0 else 1
        cases.append(case(a.build, peers, Shape(a.slow, H // part, P, G // part, N), True, a.quick))
    if a.json:
        with open(a.json + ".part", "w") as f:
            json.dump({"device": torch.cuda.get_device_name() if GPU else "CPU", "torch": torch.__version__, "cases": cases}, f, indent=1)
        os.replace(a.json + ".part", a.json)


main()
