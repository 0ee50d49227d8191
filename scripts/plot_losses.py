#!/usr/bin/env python3
"""scripts/plot_losses.py - the loss curves of several runs over each other, as a stand-alone SVG (for BENCHMARKS.md).

usage: scripts/plot_losses.py OUTPUT.svg TITLE LABEL=metrics.jsonl [LABEL=metrics.jsonl ...]
Every step is drawn faint, an exponential mean over it; x is the step, y the loss on a logarithmic axis.
"""
import json, math, sys

W, H, LEFT, TOP, RIGHT, BOTTOM = 860, 420, 64, 40, 16, 44
COLOURS = ["#3366cc", "#dc3912", "#109618", "#ff9900", "#990099"]


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def main():
    output, title = sys.argv[1:3]
    runs = []
    for word in sys.argv[3:]:
        label, path = word.split("=", 1)
        steps = [json.loads(line) for line in open(path)]
        runs.append((label, [(s["step"], s["loss"]) for s in steps if "loss" in s]))
    last = max(p[-1][0] for _, p in runs)
    low = math.log(min(y for _, p in runs for _, y in p))
    high = math.log(max(y for _, p in runs for _, y in p))
    x = lambda step: LEFT + (W - LEFT - RIGHT) * step / last
    y = lambda loss: TOP + (H - TOP - BOTTOM) * (high - math.log(loss)) / (high - low)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">' % (W, H),
           '<rect width="%d" height="%d" fill="white"/>' % (W, H),
           '<text x="%d" y="22" font-size="15">%s</text>' % (LEFT, escape(title))]
    for e in range(-4, 3):
        for m in (1, 2, 5):
            tick = m * 10.0 ** e
            if low <= math.log(tick) <= high:
                out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>'
                           % (LEFT, W - RIGHT, y(tick), y(tick), LEFT - 6, y(tick) + 4, tick))
    for i in range(6):
        step = last * i // 5
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%d</text>' % (x(step), H - BOTTOM + 18, step))
    out.append('<text x="%d" y="%d" text-anchor="middle">step</text>' % ((LEFT + W - RIGHT) // 2, H - 8))
    for i, (label, points) in enumerate(runs):
        mean, smooth = points[0][1], []
        for step, loss in points:
            mean += (loss - mean) * max(0.12, 1.0 / (len(smooth) + 1))
            smooth.append((step, mean))
        for line, style in ((points, 'stroke-width="0.6" opacity="0.35"'), (smooth, 'stroke-width="1.6"')):
            out.append('<polyline fill="none" stroke="%s" %s points="%s"/>'
                       % (COLOURS[i % 5], style, " ".join("%.1f,%.1f" % (x(s), y(l)) for s, l in line)))
        out.append('<text x="%d" y="%d" fill="%s">%s</text>' % (W - RIGHT - 260, TOP + 18 * (i + 1), COLOURS[i % 5], escape(label)))
    out.append("</svg>")
    open(output, "w").write("\n".join(out) + "\n")


main()
