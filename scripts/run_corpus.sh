#!/usr/bin/env bash
# scripts/run_corpus.sh - real text through the whole path: chat records with the real tokenizer, both phases, export, GSM8K's test questions,
# score and report. Needs python3 (to choose records) and a folder laid out as
#     CORPUS/tokenizer/mistral_v3.model, CORPUS/train/sft_chatml.jsonl.zst {prompt, completion, source}, CORPUS/eval/gsm8k_test.jsonl.zst
# usage: [BACKEND=cuda] scripts/run_corpus.sh CORPUS [configs/corpus-cpu.json | configs/corpus-gpu.json]   (LIMIT=N: only N test questions)
set -euo pipefail
cd "$(dirname "$0")/.."
corpus=${1:?usage: scripts/run_corpus.sh CORPUS [CONFIG.json]}
config=${2:-configs/corpus-cpu.json}
bin=${BUILD:-build/${BACKEND:-cpu}}
run=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["run_dir"])' "$config")
tokenizer=$run/tokenizer.model
# OpenMP threads that wait spin for some 10 ms by default, which ruins a machine that does other work too: they sleep sooner.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}

mkdir -p "$run/data"
cp "$corpus/tokenizer/mistral_v3.model" "$tokenizer"
# Phase 2's two parts by their source, and the test questions in the form of the training prompts.
zstd -dc "$corpus/train/sft_chatml.jsonl.zst" | python3 -c '
import json, sys
part = {"gsm8k": open(sys.argv[1] + "/gsm8k.jsonl", "w"), "math": open(sys.argv[1] + "/math.jsonl", "w")}
for line in sys.stdin:
    source = json.loads(line)["source"]
    if source == "gsm8k":
        part["gsm8k"].write(line)
    elif source.startswith(("math_train", "math_test", "qwen25_math")):
        part["math"].write(line)' "$run/data"
zstd -dc "$corpus/eval/gsm8k_test.jsonl.zst" | sed -n "1,${LIMIT:-1319}p" > "$run/data/truth.jsonl"
python3 -c '
import json, sys
for i, line in enumerate(open(sys.argv[1]), 1):
    question = json.loads(line)["question"]
    prompt = "<|im_start|>user\n%s\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n<|im_start|>assistant\n<think>\n" % question
    print(json.dumps({"id": str(i), "prompt": prompt}))' "$run/data/truth.jsonl" > "$run/data/prompts.jsonl"

longest=$(python3 -c 'import json, sys; print(max(p["seq_len"] for p in json.load(open(sys.argv[1]))["phases"]))' "$config")
"$bin/prepare" --tokenizer "$tokenizer" --input "$corpus/train/sft_chatml.jsonl.zst" --output "$run/data/all.tok" --overlong truncate --max-tokens "$longest"
for part in gsm8k math; do
    "$bin/prepare" --tokenizer "$tokenizer" --input "$run/data/$part.jsonl" --output "$run/data/$part.tok" --overlong drop --max-tokens "$longest"
done
"$bin/train" "$config"
rm -rf "$run/hf"
"$bin/export" --checkpoint "$run/$(cat "$run/latest")" --output "$run/hf"
"$bin/generate" --model "$run/hf" --input "$run/data/prompts.jsonl" --output "$run/answers.jsonl" --temperature 0 --max-new-tokens 320 --batch 64
"$bin/score" --task gsm8k --truth "$run/data/truth.jsonl" --answers "$run/answers.jsonl" --output "$run/score.json" --html "$run/score.html"
"$bin/report" --output "$run/report.html" --metrics "$run/metrics.jsonl" --score "GSM8K test=$run/score.json" --answers "$run/answers.jsonl" \
    --prompts "$run/data/prompts.jsonl" --title "Real text: $config"
echo "open $run/report.html" >&2
