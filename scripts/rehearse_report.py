#!/usr/bin/env python3
"""scripts/rehearse_report.py - the parts of scripts/rehearse.sh that are not running programs: made-up documents, and the report.

usage: scripts/rehearse_report.py data --model CONFIG.json --rows N --tokens T --seed S >DOCUMENTS.jsonl
       scripts/rehearse_report.py prompt <DOCUMENTS.jsonl >PROMPTS.jsonl
       scripts/rehearse_report.py report DIR        DIR is what rehearse.sh filled: writes report.md, report.json, losses.svg; exit code 1
                                                    and one line when something does not hold
"""
import argparse, json, math, os, random, re, statistics, subprocess, sys

GIB = 1024.0 ** 3
NVLINK_GB_S = 300   # assumed of NCCL over NVLink 4 (450 GB/s each way by its maker), per GPU and direction, for buckets of 100 MB and more
EIGHT = 8           # GPUs of the projection
GOAL_TOKENS_S, GOAL_SCALING = 80000, 0.93


# --- documents: of exactly T tokens, so that all ranks have the same to do. Ids are log-uniform, and every second one follows from the one before:
# there is something to learn. What is learnt begins at a place of the document's own, so that counts of learnt tokens tell the rows of a step.
def write_data(o):
    vocab = json.load(open(o.model))["vocab_size"]
    draw = random.Random(o.seed)
    for _ in range(o.rows):
        ids = []
        for i in range(o.tokens):
            ids.append((ids[-1] * 31 + 7) % vocab if i % 2 else int(vocab ** draw.random()) % vocab)
        skip = draw.randrange(o.tokens // 4)
        print(json.dumps({"input_ids": ids, "labels": [-100] * skip + ids[skip:]}, separators=(",", ":")))


def write_prompts(_):
    for i, line in enumerate(sys.stdin):
        print(json.dumps({"id": "row %d" % i, "input_ids": json.loads(line)["input_ids"]}))


# --- reading what the runs left
def read_lines(path):
    return [json.loads(line) for line in open(path)] if os.path.exists(path) else []


def read_plan(path):
    """Bytes by the plan's own names; names that come twice keep the first."""
    rows = {}
    for line in open(path):
        m = re.match(r"  (.*?) +(\d+) +[\d.]+ GiB$", line)
        if m:
            rows.setdefault(m[1], int(m[2]))
    return rows


def sent_bytes(plan):
    """What a rank sends in a step, by a plan."""
    return sum(v for k, v in plan.items() if k.startswith("gradients, reduce-scatter") or k == "weights, all-gather")


def digests(path):
    """Sizes and digests of a manifest's files."""
    return {f["name"]: {k: v for k, v in f.items() if k != "name"} for f in json.load(open(path))["files"]}


def saves(log):
    """(seconds, seconds stood still) of the checkpoints that a log tells of."""
    return [(float(a), float(b)) for a, b in re.findall(r"^saved .* in ([\d.]+) s, ([\d.]+) s of which", open(log).read(), re.M)]


def steady(lines):
    """Medians of a run's steps without its first two, in which libraries choose and memory is touched."""
    lines = lines[2:] if len(lines) > 4 else lines
    middle = lambda key: statistics.median(s[key] for s in lines) if key in lines[0] else None
    return {"tokens_per_s": middle("tokens_per_s"), "step_s": middle("step_s"), "comm_wait_s": middle("comm_wait_s"), "mfu": middle("mfu"),
            "mem_gib": max(s["mem_gib"] for s in lines)}


def differ(a, b, key):
    """The largest relative difference of a number over the steps of two runs."""
    return max(abs(x[key] - y[key]) / max(abs(x[key]), 1e-300) for x, y in zip(a, b)) if len(a) == len(b) and a else math.inf


# --- eight GPUs from measured parts
def benchmarks(pattern):
    """The last number that BENCHMARKS.md has for a pattern; None."""
    found = re.findall(pattern, open("BENCHMARKS.md").read())
    return float(found[-1].replace(",", "")) if found else None


def project(where, r, rates):
    """The step of the 7B on eight GPUs, a row each, between everything hidden and nothing hidden."""
    config = json.load(open("configs/models/mamba-codestral-7b.json"))
    all_out = []
    for column, tokens in enumerate((16384, 20480)):
        plan = read_plan("%s/plan-7b-8-%d.txt" % (where, tokens))
        send = sent_bytes(plan)
        own = r["backend"] == "cuda" and "codestral-7b" in r["model"] and r["seq_len"][0] == tokens and r["rows"] == 1
        alone = next((x["step_s"] for x in rates if x["ranks"] == 1), None) if own else None
        source = "this run, 1 GPU"
        if alone is None:
            row = r"\| (?:\*\*)?commit [0-9a-f]+(?:\*\*)? \| (?:\*\*)?([\d,]+) ms.*?\|" + (r" (?:\*\*)?([\d,]+) ms" if column else "")
            found = re.findall(row, open("BENCHMARKS.md").read())
            if not found:
                return []
            alone = float((found[-1][column] if column else found[-1]).replace(",", "")) / 1e3
            source = "BENCHMARKS.md, training steps of the 7B shape, one H200"
        adamw = benchmarks(r"\| adamw, all weights \|[^|]*\|[^|]*\| (\d+) GB/s")
        weights = plan["a checkpoint: weights and two moments (f32)"] / 12
        update = 28 * weights / (adamw * 1e9) if adamw else 0
        comm = send / (NVLINK_GB_S * 1e9)
        edge = 2 * 2 * config["vocab_size"] * config["hidden_size"] * (EIGHT - 1) / EIGHT / (NVLINK_GB_S * 1e9)
        base = alone - update * (EIGHT - 1) / EIGHT
        rate = lambda s: EIGHT * tokens / s
        all_out.append({
            "tokens": tokens,
            "parts": [
                {"part": "step of one GPU, one row", "seconds": alone, "from": source},
                {"part": "AdamW for 7/8 of the weights, which others do", "seconds": -update * (EIGHT - 1) / EIGHT,
                 "from": "28 bytes a weight at %g GB/s (BENCHMARKS.md, adamw, one H100)" % (adamw or 0)},
                {"part": "exchanges that nothing can hide: the embedding's gradients, the first weights", "seconds": edge,
                 "from": "bytes of that bucket at %d GB/s, assumed" % NVLINK_GB_S},
                {"part": "exchanges in all, if nothing were hidden", "seconds": comm,
                 "from": "%.2f GB a step (train --plan --ranks 8) at %d GB/s, assumed" % (send / 1e9, NVLINK_GB_S)}],
            "step_s": [base + edge, base + comm], "tokens_per_s": [rate(base + edge), rate(base + comm)],
            "scaling": [alone / (base + edge), alone / (base + comm)],
            # of NCCL, with nothing hidden, for the goal in tokens/s; None: out of reach
            "needed_gb_s": send / 1e9 / (EIGHT * tokens / GOAL_TOKENS_S - base) if rate(base) > GOAL_TOKENS_S else None,
            "planned_gib": plan["in all"] / GIB, "plan_from": "train --plan --ranks 8, %s build" % r["backend"]})
    return all_out


def ranks_of(n):
    return "%d rank%s" % (n, "" if n == 1 else "s")


class Checks(list):
    def add(self, name, holds, value):
        self.append({"check": name, "holds": bool(holds), "value": value})


def compare(where, r, runs, c):
    """The disturbed run beside the undisturbed one. What they share exactly, and what up to rounding."""
    every, bound = r["every"], 1e-2 if r["type"] == "bf16" else 1e-4
    events = [e for e in read_lines(where + "/events.jsonl") if "resume" in e]
    fewer = next((e for e in events if e["resume"] == "fewer ranks"), None)
    whole, run = runs["whole"], runs["run"]
    for name, phases in runs.items():
        for p in (0, 1):
            good = len(phases[p]) == r["steps"] and all(math.isfinite(s.get("loss", math.nan)) for s in phases[p])
            c.add("%s, phase %d: every step has a finite loss" % ("undisturbed" if name == "whole" else "disturbed", p + 1), good, len(phases[p]))
    if not all(x["holds"] for x in c):
        return None
    c.add("the loss falls over phase 1", whole[0][-1]["loss"] < whole[0][0]["loss"], "%.4f to %.4f" % (whole[0][0]["loss"], whole[0][-1]["loss"]))
    before = read_lines(where + "/run/before-kill.jsonl")
    c.add("steps %d to %d, done before the kill and again after it: the same loss and gradient norm, bit for bit" % (every + 1, len(before)),
          len(before) > every and all(differ(before, run[0][:len(before)], k) == 0 for k in ("loss", "grad_norm")),
          len(before) - every)
    same = all(differ(whole[0], run[0], k) == 0 for k in ("loss", "grad_norm", "tokens", "learnt_tokens", "lr"))
    c.add("phase 1 after a killed rank: every step as undisturbed, bit for bit", same, differ(whole[0], run[0], "loss"))
    last = "step_%06d.manifest.json" % r["steps"]
    a, b = digests("%s/whole/phase1/%s" % (where, last)), digests("%s/run/phase1/%s" % (where, last))
    c.add("its last checkpoint: weights and both moments have the same digests as undisturbed",
          all(a[k] == b[k] for k in a if k.endswith(".safetensors")) and "model.safetensors" in a, a["model.safetensors"].get("xxh3_128_sum"))
    exact = all(differ(whole[1], run[1], k) == 0 for k in ("tokens", "learnt_tokens", "lr"))
    at = fewer["step"] if fewer else r["steps"]
    where_too = ", also on " + ranks_of(fewer["ranks"]) if fewer else ""
    c.add("phase 2, data order: tokens and learnt tokens of every step as undisturbed" + where_too, exact, "%d counts of learnt tokens, %d different" % (r["steps"], len({s["learnt_tokens"] for s in whole[1]})))
    c.add("phase 2 before the stop: the same losses, bit for bit", differ(whole[1][:at], run[1][:at], "loss") == 0, at)
    off = differ(whole[1], run[1], "loss")
    if fewer:
        c.add("phase 2 after the resume on %s: losses within %g of undisturbed" % (ranks_of(fewer["ranks"]), bound), off <= bound, off)
    return {"phase1": differ(whole[0], run[0], "loss"), "phase2": off, "bound": bound}


def generation(where, runs, c):
    answers = read_lines(where + "/answers.jsonl")
    prompts = read_lines(where + "/prompts.jsonl")
    logprobs = answers[0]["prompt_logprobs"] if len(answers) == 1 else []
    nll = -sum(logprobs) / len(logprobs) if logprobs else math.inf
    loss = runs["run"][1][-1]["loss"]
    c.add("an answer of the exported model to a row of training data", len(answers) == len(prompts) == 1 and answers[0]["output_ids"],
          "%d ids" % len(answers[0]["output_ids"] if answers else []))
    c.add("that row's loss by the exported model is near the last step's", abs(nll / loss - 1) < 0.25, "%.4f, %.4f" % (nll, loss))
    exported = next(e for e in read_lines(where + "/events.jsonl") if "export_s" in e)
    return {**exported, "row_loss": nll, "last_loss": loss, "new_ids": len(answers[0]["output_ids"]) if answers else 0}


def collect(where):
    r = json.load(open(where + "/rehearsal.json"))
    c = Checks()
    runs = {name: [read_lines("%s/%s/phase%d/metrics.jsonl" % (where, name, p)) for p in (1, 2)] for name in ("whole", "run")}
    losses = compare(where, r, runs, c)
    phases = []
    for p in (1, 2):
        plan = read_plan("%s/plan-phase%d-%d.txt" % (where, p, r["ranks"]))
        at = steady(runs["whole"][p - 1])
        took = saves("%s/whole/phase%d/launch.log" % (where, p))
        phases.append({"phase": p, "seq_len": r["seq_len"][p - 1], "ranks": r["ranks"], **at, "planned_gib": plan["in all"] / GIB,
                       "sent_bytes": sent_bytes(plan),
                       "save_s": took[-1][0], "save_stall_s": took[-1][1],
                       "checkpoint_bytes": plan["a checkpoint: weights and two moments (f32)"]})
        # A process on the CPU is more than its plan by what MPI's own buffers take, which is not ours to know: a few MiB.
        off, slack = at["mem_gib"] - plan["in all"] / GIB, 0.01 * plan["in all"] / GIB if r["backend"] == "cuda" else 16 / 1024
        c.add("phase %d: memory within %s of the plan" % (p, "1%" if r["backend"] == "cuda" else "16 MiB"), abs(off) <= slack,
              "%.4f GiB, planned %.4f" % (at["mem_gib"], plan["in all"] / GIB))
    rates = []
    n = 1
    while n < r["ranks"]:
        lines = read_lines("%s/rate/%d/metrics.jsonl" % (where, n))
        plan = read_plan("%s/plan-phase1-%d.txt" % (where, n))
        rates.append({"ranks": n, "planned_gib": plan["in all"] / GIB, **(steady(lines) if lines else {})})
        if lines:
            took = saves("%s/rate/%d/launch.log" % (where, n))
            rates[-1].update(save_s=took[-1][0], save_stall_s=took[-1][1])
        n *= 2
    rates.append(phases[0])
    base = next(x for x in rates if "tokens_per_s" in x)
    for x in rates:
        if "tokens_per_s" in x:
            units = (lambda n: n) if r["backend"] == "cuda" else (lambda n: min(n, r["cores"]))
            x["scaling"] = x["tokens_per_s"] / units(x["ranks"]) / (base["tokens_per_s"] / units(base["ranks"]))
    measured = [x for x in rates if "tokens_per_s" in x]
    if r["backend"] == "cuda" and r["ranks"] == EIGHT and "codestral-7b" in r["model"]:
        c.add("tokens/s on eight GPUs", measured[-1]["tokens_per_s"] >= GOAL_TOKENS_S, measured[-1]["tokens_per_s"])
        c.add("a GPU's rate among eight, of its rate among %d" % base["ranks"], measured[-1]["scaling"] >= GOAL_SCALING, measured[-1]["scaling"])
    return {**r, "phases": phases, "rates": rates, "losses": losses, "resumes": [e for e in read_lines(where + "/events.jsonl") if "resume" in e],
            "generation": generation(where, runs, c) if losses else None, "projection": project(where, r, measured), "checks": c}, runs


# --- the report
def table(heads, rows):
    return ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)] + ["| " + " | ".join(str(x) for x in row) + " |" for row in rows] + [""]


def number(x, form="%.3g"):
    return "" if x is None else form % x


def rates_table(d):
    rows = []
    for x in d["rates"]:
        if "tokens_per_s" not in x:
            rows.append([x["ranks"], "does not fit"] + [""] * 5 + ["%.3f" % x["planned_gib"]] + [""] * 2)
            continue
        wait = x["comm_wait_s"]
        rows.append([x["ranks"], "{:,.0f}".format(x["tokens_per_s"]), "%.1f%%" % (100 * x["scaling"]), "%.3f s" % x["step_s"],
                     "" if x["mfu"] is None else "%.1f%%" % (100 * x["mfu"]),
                     "" if wait is None else "%.3f s (%.1f%%)" % (wait, 100 * wait / x["step_s"]),
                     "%.3f" % x["mem_gib"], "%.3f" % x["planned_gib"], "%.1f s" % x["save_s"], "%.2f s" % x["save_stall_s"]])
    return table(["ranks", "tokens/s", "a %s's share of the first rate" % ("GPU" if d["backend"] == "cuda" else "core"), "step", "MFU",
                  "waits for exchanges", "GiB a rank", "planned", "a checkpoint", "stood still"], rows)


def markdown(d):
    cpu = d["backend"] == "cpu"
    out = ["# A rehearsal: %s, %s" % (ranks_of(d["ranks"]), os.path.basename(d["model"])), "",
           "%s, commit %s. %s. Phases of %d steps, %d and %d tokens a row, %d row%s a rank, %s."
           % (d["date"], d["commit"], d["device"], d["steps"], *d["seq_len"], d["rows"], "" if d["rows"] == 1 else "s", d["type"]), ""]
    bad = [x for x in d["checks"] if not x["holds"]]
    n = len(d["checks"])
    out += ["**All %d checks hold.**" % n if not bad else "**%d of %d checks do not hold.**" % (len(bad), n), ""]
    if cpu and d["ranks"] > d["cores"]:
        out += ["%d ranks share %d cores: waiting for exchanges is mostly waiting for a turn, and rates are no measure of scaling."
                % (d["ranks"], d["cores"]), ""]
    out += ["## Rates from 1 to %s (phase 1)" % ranks_of(d["ranks"]), ""] + rates_table(d)
    p = d["phases"]
    out += ["## Both phases, undisturbed, %s" % ranks_of(d["ranks"]), ""]
    out += table(["phase", "tokens a row", "tokens/s", "step", "MFU", "waits for exchanges", "sent by a rank", "GiB a rank", "planned",
                  "a checkpoint", "stood still"],
                 [[x["phase"], x["seq_len"], "{:,.0f}".format(x["tokens_per_s"]), "%.3f s" % x["step_s"],
                   "" if x["mfu"] is None else "%.1f%%" % (100 * x["mfu"]), number(x["comm_wait_s"], "%.3f s"),
                   "%.4g GB" % (x["sent_bytes"] / 1e9), "%.3f" % x["mem_gib"], "%.3f" % x["planned_gib"],
                   "%.3g GB in %.1f s" % (x["checkpoint_bytes"] / 1e9, x["save_s"]), "%.2f s" % x["save_stall_s"]] for x in p])
    out += ["## Resumes", ""]
    out += table(["what", "ranks", "from step", "all ranks gone", "loaded", "first step done"],
                 [[x["resume"], "%d to %d" % (x["from"], x["ranks"]), x["step"], number(x.get("gone_s"), "%.1f s"), "%.1f s" % x["load_s"],
                   "%.1f s" % x["step_s"]] for x in d["resumes"]])
    if d["losses"]:
        out += ["## Losses", "", "![losses of both runs](losses.svg)", "",
                "Largest relative difference between the two runs: %.2g in phase 1, %.2g in phase 2."
                % (d["losses"]["phase1"], d["losses"]["phase2"]), ""]
        g = d["generation"]
        out += ["Exported in %.1f s (%.3g GB); a row of training data read and %d ids written in %.1f s."
                % (g["export_s"], g["bytes"] / 1e9, g["new_ids"], g["generate_s"]), ""]
    out += ["## The 7B on eight GPUs, projected", "",
            "From measured parts, none of them run on eight GPUs. Between all exchanges hidden but the first bucket's, and none hidden. "
            "What NCCL's own blocks take from the products meanwhile is in neither.", ""]
    for x in d["projection"]:
        out += table(["%d tokens a row" % x["tokens"], "", "from"],
                     [[y["part"], "%.1f ms" % (1e3 * y["seconds"]), y["from"]] for y in x["parts"]] +
                     [["step", "%.0f to %.0f ms" % tuple(1e3 * s for s in x["step_s"]), "the sums"],
                      ["tokens/s", "{:,.0f} to {:,.0f}".format(*x["tokens_per_s"]), "goal %s" % "{:,}".format(GOAL_TOKENS_S)],
                      ["of eight times one GPU", "%.1f%% to %.1f%%" % tuple(100 * s for s in x["scaling"]), "goal %g%%" % (100 * GOAL_SCALING)],
                      ["rate of exchanges that the goal needs, if nothing is hidden", number(x["needed_gb_s"], "%.0f GB/s"), "a GPU, each way"],
                      ["memory of a GPU", "%.1f GiB" % x["planned_gib"], x["plan_from"]]])
    out += ["## Checks", ""] + table(["", "holds", "value"], [[x["check"], "yes" if x["holds"] else "**no**", x["value"]] for x in d["checks"]])
    return "\n".join(out)


def write(path, text):
    with open(path + ".part", "w") as f:
        f.write(text)
    os.replace(path + ".part", path)


def plot(where, d, runs):
    """Phase 2 follows phase 1 on one axis."""
    words = []
    for name, label in (("whole", "undisturbed"), ("run", "killed, stopped, on fewer ranks" if d["fewer"] else "killed")):
        path = "%s/losses-%s.jsonl" % (where, name)
        write(path, "".join(json.dumps({"step": s["step"] + p * d["steps"], "loss": s["loss"]}) + "\n" for p in (0, 1) for s in runs[name][p]))
        words.append("%s=%s" % (label, path))
    subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "plot_losses.py"), where + "/losses.svg",
                    "loss, phase 1 and phase 2, %s" % ranks_of(d["ranks"])] + words, check=True)


def write_report(o):
    d, runs = collect(o.dir)
    if d["losses"]:
        plot(o.dir, d, runs)
    write(o.dir + "/report.md", markdown(d) + "\n")
    write(o.dir + "/report.json", json.dumps(d, indent=1) + "\n")
    bad = [x for x in d["checks"] if not x["holds"]]
    if bad:
        sys.exit("rehearse: %s: does not hold (%s)%s; see %s/report.md"
                 % (bad[0]["check"], bad[0]["value"], ", nor do %d others" % (len(bad) - 1) if len(bad) > 1 else "", o.dir))
    print("rehearse: all %d checks hold; see %s/report.md" % (len(d["checks"]), o.dir), file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(required=True)
    data = jobs.add_parser("data")
    data.add_argument("--model", required=True)
    for name in ("--rows", "--tokens", "--seed"):
        data.add_argument(name, type=int, required=True)
    data.set_defaults(job=write_data)
    jobs.add_parser("prompt").set_defaults(job=write_prompts)
    report = jobs.add_parser("report")
    report.add_argument("dir")
    report.set_defaults(job=write_report)
    o = parser.parse_args()
    o.job(o)


main()
