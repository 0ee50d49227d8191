#!/usr/bin/env python3
"""scripts/bench_llama.py - decoding on the CPU: generate and llama.cpp, with the same weights in one run.

usage: scripts/bench_llama.py BUILD_DIR [--model FOLDER] [--threads 1,2] [--batch 1] [--dtype f32,bf16] [--tokens 128] [--repeat 5]

Needs llama-cpp-python, gguf and numpy. Without --model a folder with random weights of the shape of configs/models/mamba2-130m.json is made; its
values are rounded to bfloat16, so that both types hold the same model. The weights are written as GGUF as convert_hf_to_gguf.py does it (vectors
and convolution float32), and first both programs give the log-probabilities of some tokens, which must agree.

Then for each type and number of threads both generate, greedily, in turn, --repeat times; the medians of tokens/s are printed. Ours is what generate
says it wrote a second (sampling and the file of answers included); llama.cpp's is llama_decode and the largest logit by numpy.
"""
import argparse, ctypes, json, os, re, statistics, subprocess, sys, tempfile, time

try:
    import gguf
    import llama_cpp as llama
    import numpy as np
except ImportError as why:
    sys.exit("bench_llama.py: %s: pip install llama-cpp-python gguf numpy" % why)

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def to_bf16(x):
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(x):
    return (x.astype(np.uint32) << 16).view(np.float32)


def make_model(folder):
    """config.json and model.safetensors (bfloat16) as state-spaces/mamba initialises a model."""
    config = json.load(open(os.path.join(ROOT, "configs/models/mamba2-130m.json")))
    config["torch_dtype"], config["eos_token_id"] = "bfloat16", config["vocab_size"] - 1
    d, heads, layers, taps = config["hidden_size"], config["num_heads"], config["num_hidden_layers"], config["conv_kernel"]
    inner, rng = heads * config["head_dim"], np.random.default_rng(1)
    conv = inner + 2 * config["n_groups"] * config["state_size"]
    around = lambda scale, *shape: rng.uniform(-1, 1, shape) * scale
    tensors = {"backbone.embeddings.weight": rng.normal(0, 0.02, (config["vocab_size"], d)), "backbone.norm_f.weight": np.ones(d)}
    for i in range(layers):
        dt = np.exp(rng.uniform(np.log(0.001), np.log(0.1), heads))
        for name, value in [("norm.weight", np.ones(d)), ("mixer.in_proj.weight", around(d ** -0.5, inner + conv + heads, d)),
                            ("mixer.conv1d.weight", around(taps ** -0.5, conv, 1, taps)), ("mixer.conv1d.bias", around(taps ** -0.5, conv)),
                            ("mixer.dt_bias", dt + np.log(-np.expm1(-dt))), ("mixer.A_log", np.log(rng.uniform(1, 16, heads))),
                            ("mixer.D", np.ones(heads)), ("mixer.norm.weight", np.ones(inner)),
                            ("mixer.out_proj.weight", around((inner * layers) ** -0.5, d, inner))]:
            tensors["backbone.layers.%d.%s" % (i, name)] = value
    head, at, blobs = {}, 0, []
    for name, value in tensors.items():
        blobs.append(to_bf16(value).tobytes())
        head[name] = {"dtype": "BF16", "shape": list(value.shape), "data_offsets": [at, at + len(blobs[-1])]}
        at += len(blobs[-1])
    text = json.dumps(head).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))
    json.dump(config, open(os.path.join(folder, "config.json"), "w"))


def read_tensors(folder):
    for path in sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".safetensors")):
        data = np.memmap(path, np.uint8, "r")
        start = 8 + int(data[:8].view(np.uint64)[0])
        for name, t in json.loads(bytes(data[8:start])).items():
            if name != "__metadata__":
                raw = data[start + t["data_offsets"][0]:start + t["data_offsets"][1]]
                value = np.array(raw).view(np.float32) if t["dtype"] == "F32" else from_bf16(np.array(raw).view(np.uint16))
                yield name, value.reshape(t["shape"])


def write_gguf(folder, config, dtype, path):
    d, groups = config["hidden_size"], config["n_groups"]
    inner = config["num_heads"] * config["head_dim"]
    w = gguf.GGUFWriter(path, "mamba2")
    for add, value in [(w.add_context_length, 1 << 20), (w.add_embedding_length, d), (w.add_feed_forward_length, 0), (w.add_head_count, 0),
                       (w.add_block_count, config["num_hidden_layers"]), (w.add_ssm_conv_kernel, config["conv_kernel"]),
                       (w.add_ssm_inner_size, inner), (w.add_ssm_state_size, config["state_size"]), (w.add_ssm_group_count, groups),
                       (w.add_ssm_time_step_rank, config["num_heads"]), (w.add_layer_norm_rms_eps, config["layer_norm_epsilon"]),
                       (w.add_vocab_size, config["vocab_size"]), (w.add_tokenizer_model, "no_vocab")]:
        add(value)
    names = {"norm.weight": "attn_norm.weight", "mixer.in_proj.weight": "ssm_in.weight", "mixer.conv1d.weight": "ssm_conv1d.weight",
             "mixer.conv1d.bias": "ssm_conv1d.bias", "mixer.dt_bias": "ssm_dt.bias", "mixer.A_log": "ssm_a", "mixer.D": "ssm_d",
             "mixer.norm.weight": "ssm_norm.weight", "mixer.out_proj.weight": "ssm_out.weight"}
    for name, value in read_tensors(folder):
        layer = re.fullmatch(r"backbone\.layers\.(\d+)\.(.*)", name)
        to = "blk.%s.%s" % (layer[1], names[layer[2]]) if layer else {"backbone.embeddings.weight": "token_embd.weight",
                                                                      "backbone.norm_f.weight": "output_norm.weight",
                                                                      "lm_head.weight": "output.weight"}[name]
        if to.endswith("ssm_a"):
            value = -np.exp(value)
        shape = {"ssm_a": (-1, 1), "ssm_d": (-1, 1), "ssm_norm.weight": (groups, -1), "ssm_conv1d.weight": (-1, config["conv_kernel"])}
        value = value.reshape(shape.get(to.split(".", 2)[-1], value.shape))
        if dtype == "bf16" and to.endswith(("ssm_in.weight", "ssm_out.weight", "token_embd.weight", "output.weight")):
            w.add_tensor(to, to_bf16(value).view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            w.add_tensor(to, value.astype(np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


class Llama:
    """Sequences of a GGUF model, a token each at a time."""

    def __init__(self, path, threads, batch):
        self.model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
        p = llama.llama_context_default_params()
        p.n_ctx, p.n_batch, p.n_ubatch, p.n_seq_max, p.n_threads, p.n_threads_batch = 4096, 64, 64, batch, threads, threads
        self.context = llama.llama_init_from_model(self.model, p)
        if not self.model or not self.context:
            sys.exit("bench_llama.py: llama.cpp does not load %s" % path)
        self.vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))
        self.rows, self.n, self.at = llama.llama_batch_init(batch, 0, 1), batch, 0

    def step(self, ids):
        self.rows.n_tokens = self.n
        for i in range(self.n):
            self.rows.token[i], self.rows.pos[i], self.rows.n_seq_id[i], self.rows.seq_id[i][0], self.rows.logits[i] = ids[i], self.at, 1, i, 1
        if llama.llama_decode(self.context, self.rows):
            sys.exit("bench_llama.py: llama_decode failed")
        self.at += 1
        return np.ctypeslib.as_array(llama.llama_get_logits(self.context), (self.n, self.vocab))

    def close(self):
        llama.llama_batch_free(self.rows)
        llama.llama_free(self.context)
        llama.llama_model_free(self.model)


def generate(a, work, model, dtype, threads, prompts, options):
    with open(os.path.join(work, "prompts.jsonl"), "w") as f:
        f.writelines(json.dumps({"id": i, "input_ids": ids}) + "\n" for i, ids in enumerate(prompts))
    out = os.path.join(work, "answers.jsonl")
    command = [os.path.join(a.build, "generate"), "--model", model, "--dtype", dtype, "--input", os.path.join(work, "prompts.jsonl"),
               "--output", out, "--batch", str(a.batch)] + options
    r = subprocess.run(command, env=dict(os.environ, OMP_NUM_THREADS=str(threads)), stderr=subprocess.PIPE, text=True)
    if r.returncode:
        sys.exit("bench_llama.py: %s\n%s" % (" ".join(command), r.stderr))
    return r.stderr, [json.loads(line) for line in open(out)]


def compare(a, work, model, paths):
    ids = [int(i) for i in np.random.default_rng(2).integers(0, 1000, 48)]
    for dtype, path in paths.items():
        ours = generate(a, work, model, dtype, 1, [ids], ["--max-new-tokens", "0", "--prompt-logprobs"])[1][0]["prompt_logprobs"]
        other, theirs = Llama(path, 1, 1), []
        for token, target in zip(ids, ids[1:]):
            logits = other.step([token])[0].astype(np.float64)
            theirs.append(logits[target] - logits.max() - np.log(np.exp(logits - logits.max()).sum()))
        other.close()
        off = max(abs(x - y) for x, y in zip(ours, theirs))
        print("%s: log-probabilities of %d tokens differ by at most %.1e" % (dtype, len(theirs), off), flush=True)
        if off > (1e-3 if dtype == "f32" else 0.05):
            sys.exit("bench_llama.py: these are not the same model")


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("build")
    a.add_argument("--model")
    a.add_argument("--threads", default="1,2")
    a.add_argument("--dtype", default="f32,bf16")
    a.add_argument("--batch", type=int, default=1)
    a.add_argument("--tokens", type=int, default=128)
    a.add_argument("--repeat", type=int, default=5)
    a = a.parse_args()
    quiet = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    llama.llama_backend_init()
    with tempfile.TemporaryDirectory() as work:
        model = a.model
        if not model:
            model = os.path.join(work, "model")
            os.mkdir(model)
            make_model(model)
        config = json.load(open(os.path.join(model, "config.json")))
        paths = {dtype: os.path.join(work, dtype + ".gguf") for dtype in a.dtype.split(",")}
        for dtype, path in paths.items():
            write_gguf(model, config, dtype, path)
        compare(a, work, model, paths)
        print("llama-cpp-python %s; batch %d, %d tokens each, median (lowest to highest) of %d runs" % (llama.__version__, a.batch, a.tokens, a.repeat))
        print("| weights | threads | generate, tokens/s | llama.cpp, tokens/s | ratio |\n|---|---|---|---|---|")
        for dtype, path in paths.items():
            for threads in [int(t) for t in a.threads.split(",")]:
                other, ours, theirs = Llama(path, threads, a.batch), [], []
                for _ in range(a.repeat):
                    text, answers = generate(a, work, model, dtype, threads, [[i + 1] for i in range(a.batch)], ["--max-new-tokens", str(a.tokens)])
                    ours.append(float(re.search(r"wrote \d+ \(([\d.]+) tokens/s", text)[1]))
                    other.at = 0
                    llama.llama_memory_clear(llama.llama_get_memory(other.context), True)
                    ids, start = [i + 1 for i in range(a.batch)], time.perf_counter()
                    for _ in range(a.tokens):
                        ids = other.step(ids).argmax(1).tolist()
                    theirs.append(a.batch * a.tokens / (time.perf_counter() - start))
                other.close()
                show = lambda rates: "%.1f (%.1f to %.1f)" % (statistics.median(rates), min(rates), max(rates))
                print("| %s | %d | %s | %s | %.2f |" % (dtype, threads, show(ours), show(theirs), statistics.median(ours) / statistics.median(theirs)),
                      flush=True)


main()
