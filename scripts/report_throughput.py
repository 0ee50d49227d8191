#!/usr/bin/env python3
"""scripts/report_throughput.py - what bench_throughput measured, as Markdown and as a stand-alone SVG (for BENCHMARKS.md).

usage: scripts/report_throughput.py RESULT.json OUTPUT.md OUTPUT.svg

A cell is a decode step of as many sequences as a memory limit holds. The ratio is the engine's tokens/s over the Transformer's.
"""
import json, math, sys

# PromptCoT-Mamba (arXiv 2505.22425): tokens/s of its model over those of a 7B Transformer, both in vLLM, by GB of memory.
PAPER = {24: 3.66, 72: 1.69}
GIB = 2.0 ** 30
W, H, LEFT, TOP, RIGHT, BOTTOM, GAP = 860, 400, 70, 64, 16, 48, 64
LINES = [("mamba", "Mamba-2, any context", "#3366cc", ""), ("short", "Transformer, short answers", "#dc3912", ""),
         ("long", "Transformer, long answers", "#dc3912", ' stroke-dasharray="6 4"')]


def length(n):
    return "%dk" % (n // 1024) if n % 1024 == 0 else "%d" % n


def rate(x):
    return "{:,.0f}".format(x) if x >= 1000 else "%.1f" % x


def tables(result):
    out = ["%s; %s, commit %s. Bytes of memory read per second in this run: %.0f GB/s.%s" %
           (result["device"], result["date"][:10], result["commit"], result["read_bytes_per_s"] * 1e-9,
            " **A miniature on a CPU: the numbers mean nothing.**" if result["backend"] == "cpu" else "")]
    for limit in result["limits"]:
        gib, m = limit["memory_gib"], limit["mamba"]
        paper = PAPER.get(round(gib))
        out += ["", "**%g GiB.** %s (%s, states in %s): **batch %d, %s tokens/s, %.2f ms a token**, %.2f GiB, %.0f%% of what the memory allows; at any context, for any answers."
                % (gib, result["mamba_model"], result["type"], m["state"], m["batch"], rate(m["tokens_per_s"]), m["step_s"] * 1e3,
                   m["memory"]["used"] / GIB, 100 * m["share_of_memory_bound"]), "",
                "| context | answers | %s: batch | tokens/s | ms a token | GiB | of the memory's rate | Mamba-2 / Transformer |" % result["transformer_model"],
                "|---|---|---|---|---|---|---|---|"]
        lost = []
        for c in limit["transformer"]:
            where = "| %s | %s " % (length(c["context"]), c["answers"])
            if c["batch"] == 0:
                out.append(where + "| 0: not one sequence fits | | | | | |")
                continue
            ratio = m["tokens_per_s"] / c["tokens_per_s"]
            out.append(where + "| %d | %s | %.2f | %.2f | %.0f%% | %s |" %
                       (c["batch"], rate(c["tokens_per_s"]), c["step_s"] * 1e3, c["memory"]["used"] / GIB, 100 * c["share_of_memory_bound"],
                        "**%.2f×**" % ratio if ratio >= 1 else "%.2f×" % ratio))
            if ratio < 1:
                lost.append("%s with %s answers (%.2f×)" % (length(c["context"]), c["answers"], 1 / ratio))
        out += ["", "The Transformer is faster at %s." % ", ".join(lost) if lost else "The Transformer is faster nowhere in this table."]
        if paper:
            out.append("The paper has %.2f× at %g GB (vLLM, both models)." % (paper, gib))
    return "\n".join(out) + "\n"


def series(limit):
    cells = limit["transformer"]
    lines = {"mamba": [(c["context"], limit["mamba"]["tokens_per_s"]) for c in cells]}
    for kind in ("short", "long"):
        lines[kind] = [(c["context"], c["tokens_per_s"]) for c in cells if c["answers"] == kind and c["batch"] > 0]
    return lines


def plot(result):
    limits = result["limits"]
    text = lambda x, y, s, more="": '<text x="%.1f" y="%.1f" %s>%s</text>' % (x, y, more, s)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">' % (W, H),
           '<rect width="%d" height="%d" fill="white"/>' % (W, H), text(LEFT, 20, "Decoding under a memory limit, tokens/s", 'font-size="15"')]
    for i, (_, name, colour, dash) in enumerate(LINES):
        x = LEFT + 230 * i
        out.append('<line x1="%d" x2="%d" y1="36" y2="36" stroke="%s" stroke-width="2"%s/>' % (x, x + 24, colour, dash))
        out.append(text(x + 30, 40, name))
    points = [p for limit in limits for line in series(limit).values() for p in line]
    low, high = (math.log(f(y for _, y in points)) for f in (min, max))
    low, high = low - 0.1, high + 0.1
    first, last = (math.log(f(x for x, _ in points)) for f in (min, max))
    wide = (W - LEFT - RIGHT - GAP * (len(limits) - 1)) / len(limits)
    y = lambda v: TOP + (H - TOP - BOTTOM) * (high - math.log(v)) / (high - low)
    for i, limit in enumerate(limits):
        left = LEFT + i * (wide + GAP)
        x = lambda n: left + wide * (math.log(n) - first) / max(last - first, 1e-9)
        for e in range(-2, 7):
            for m in (1, 2, 5):
                tick = m * 10.0 ** e
                if low <= math.log(tick) <= high:
                    out.append('<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#ddd"/>' % (left, left + wide, y(tick), y(tick)))
                    out.append(text(left - 6, y(tick) + 4, "{:,g}".format(tick), 'text-anchor="end"'))
        for n in sorted({c["context"] for c in limit["transformer"]}):
            out.append(text(x(n), H - BOTTOM + 18, length(n), 'text-anchor="middle"'))
        out.append(text(left + wide / 2, H - 8, "%g GiB; context, tokens" % limit["memory_gib"], 'text-anchor="middle"'))
        for key, _, colour, dash in LINES:
            line = series(limit)[key]
            out.append('<polyline fill="none" stroke="%s" stroke-width="2"%s points="%s"/>'
                       % (colour, dash, " ".join("%.1f,%.1f" % (x(a), y(b)) for a, b in line)))
            out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x(a), y(b), colour) for a, b in line if key != "mamba"]
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__.split("\n\n")[1])
    result = json.load(open(sys.argv[1]))
    if not all("mamba" in limit and "transformer" in limit for limit in result["limits"]):
        sys.exit("report_throughput.py: %s: one of the two models is missing (bench_throughput --only): run both" % sys.argv[1])
    for path, content in ((sys.argv[2], tables(result)), (sys.argv[3], plot(result))):
        with open(path, "w") as f:
            f.write(content)
    print(tables(result))


main()
