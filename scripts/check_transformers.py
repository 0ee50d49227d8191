#!/usr/bin/env python3
"""scripts/check_transformers.py - our folders against Hugging Face transformers, both ways, on a small model with one group.

Needs torch and transformers (Mamba2ForCausalLM). usage: scripts/check_transformers.py build/cpu | build/cuda
1. transformers saves a random model; we read it: log-probabilities of random prompts agree to 1e-4.
2. train runs a few steps from it, export writes a folder; transformers reads that: the same agreement.
"""
import json, os, subprocess, sys, tempfile

import torch
from transformers import Mamba2Config, Mamba2ForCausalLM

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def run(*args):
    p = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if p.returncode:
        sys.exit("FAILED: %s\n%s" % (" ".join(map(str, args)), p.stdout[-2000:]))


def theirs(folder, prompts):
    """Log-probabilities of tokens 1..n-1 of every prompt, by transformers in float32."""
    model = Mamba2ForCausalLM.from_pretrained(folder, dtype=torch.float32).to(DEVICE).eval()
    out = []
    with torch.no_grad():
        for ids in prompts:
            logits = model(torch.tensor([ids], device=DEVICE)).logits[0].double()
            logp = torch.log_softmax(logits, -1)[:-1]
            out.append(logp.gather(1, torch.tensor(ids[1:], device=DEVICE)[:, None])[:, 0].tolist())
    return out


def ours(build, folder, prompts, work):
    source, answers = work + "/prompts.jsonl", work + "/answers.jsonl"
    with open(source, "w") as f:
        for i, ids in enumerate(prompts):
            f.write(json.dumps({"id": str(i), "input_ids": ids}) + "\n")
    if os.path.exists(answers):
        os.remove(answers)
    run(build + "/generate", "--model", folder, "--input", source, "--output", answers, "--dtype", "f32", "--max-new-tokens", 0, "--prompt-logprobs")
    return [json.loads(line)["prompt_logprobs"] for line in open(answers)]


def worst(a, b):
    assert [len(x) for x in a] == [len(x) for x in b]
    return max(abs(x - y) for u, v in zip(a, b) for x, y in zip(u, v))


def main():
    build = sys.argv[1]
    torch.manual_seed(7)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    config = Mamba2Config(vocab_size=260, hidden_size=128, num_hidden_layers=3, num_heads=8, head_dim=32, n_groups=1, state_size=32, expand=2,
                          chunk_size=32, conv_kernel=4, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    prompts = [torch.randint(3, 260, (n,)).tolist() for n in (2, 5, 31, 32, 33, 64, 100, 200)]
    ok = True
    with tempfile.TemporaryDirectory() as work:
        Mamba2ForCausalLM(config).float().save_pretrained(work + "/theirs")
        difference = worst(ours(build, work + "/theirs", prompts, work), theirs(work + "/theirs", prompts))
        print("saved by transformers, read here: log-probabilities differ by at most %.2e" % difference)
        ok = ok and difference < 1e-4

        with open(work + "/data.jsonl", "w") as f:
            for n in range(64):
                ids = torch.randint(3, 260, (60,)).tolist()
                f.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")
        run(build + "/prepare", "--input", work + "/data.jsonl", "--output", work + "/data.tok")
        settings = {"run_dir": work + "/run", "model": {"config": work + "/theirs/config.json", "weights": work + "/theirs"},
                    "optim": {"lr": 1e-3, "warmup_steps": 2}, "batch": {"rows": 4},
                    "phases": [{"name": "p", "seq_len": 128, "steps": 10, "data": [{"path": work + "/data.tok"}]}]}
        json.dump(settings, open(work + "/config.json", "w"))
        run(build + "/train", work + "/config.json")
        run(build + "/export", "--checkpoint", work + "/run/step_000010", "--output", work + "/exported", "--dtype", "f32")
        difference = worst(ours(build, work + "/exported", prompts, work), theirs(work + "/exported", prompts))
        print("exported here, read by transformers: log-probabilities differ by at most %.2e" % difference)
        ok = ok and difference < 1e-4
    sys.exit(0 if ok else 1)


main()
