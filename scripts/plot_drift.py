#!/usr/bin/env python3
"""scripts/plot_drift.py - what bench_drift measured, as a stand-alone SVG (for BENCHMARKS.md).

usage: scripts/plot_drift.py bench_drift.json OUTPUT.svg
Two panels, SSD states and last hidden states: relative error (root mean square) over tokens, both axes logarithmic.
"""
import json, math, sys

W, H, LEFT, TOP, GAP, BOTTOM = 860, 400, 64, 44, 56, 64
COLOURS = ["#3366cc", "#dc3912", "#109618", "#ff9900"]


def panel(out, left, width, title, lines, last, low, high):
    x = lambda tokens: left + width * math.log10(tokens) / math.log10(last)
    y = lambda error: TOP + (H - TOP - BOTTOM) * (high - math.log10(error)) / (high - low)
    out.append('<text x="%d" y="%d" font-size="15">%s</text>' % (left, TOP - 14, title))
    for e in range(low, high + 1):
        out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">1e%d</text>'
                   % (left, left + width, y(10.0 ** e), y(10.0 ** e), left - 6, y(10.0 ** e) + 4, e))
    for e in range(int(math.log10(last)) + 1):
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (x(10 ** e), H - BOTTOM + 18, "1e%d" % e if e else "1"))
    out.append('<text x="%d" y="%d" text-anchor="middle">tokens</text>' % (left + width // 2, H - BOTTOM + 34))
    for points, colour in zip(lines, COLOURS):
        out.append('<polyline fill="none" stroke="%s" stroke-width="1.8" points="%s"/>'
                   % (colour, " ".join("%.1f,%.1f" % (x(t), y(e)) for t, e in points)))


def main():
    cases = json.load(open(sys.argv[1]))["cases"]
    series = [(c["case"], states) for c in cases for states in ("f32", "bf16")]
    rows = lambda case, states: [p for c in cases if c["case"] == case for p in c["points"] if p["states"] == states]
    lines = {what: [[(p["tokens"], p[what]["rms"]) for p in rows(*s)] for s in series] for what in ("state", "hidden")}
    errors = [e for panel_lines in lines.values() for line in panel_lines for _, e in line]
    low, high = math.floor(math.log10(min(errors))), math.ceil(math.log10(max(errors)))
    last = max(p["tokens"] for c in cases for p in c["points"])
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">' % (W, H),
           '<rect width="%d" height="%d" fill="white"/>' % (W, H)]
    width = (W - LEFT - GAP - 24) // 2
    panel(out, LEFT, width, "SSD states: relative error", lines["state"], last, low, high)
    panel(out, LEFT + width + GAP, width, "Last hidden states: relative error", lines["hidden"], last, low, high)
    for i, ((case, states), colour) in enumerate(zip(series, COLOURS)):
        out.append('<text x="%d" y="%d" fill="%s">%s states, %s</text>' % (LEFT + 200 * i, H - 8, colour, states, case))
    out.append("</svg>")
    open(sys.argv[2], "w").write("\n".join(out) + "\n")


main()
