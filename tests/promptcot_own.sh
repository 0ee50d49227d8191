#!/usr/bin/env bash
# tests/promptcot_own.sh - the synthesis with a small model of our own and nothing else: it learns to write rationales, problems and answers from
# computed ones, then makes new problems from concepts, through all steps to a .tok file of phase 2; killed ten times, the same bytes.
# Takes minutes, so only with PCM_LONG=1.
set -euo pipefail
[ -n "${PCM_LONG:-}" ] || { echo "  skipped: takes minutes; PCM_LONG=1 runs it"; exit 77; }
build=$(realpath "${PCM_BUILD:?}")
steps=200
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$1"; exit 1; }

"$build/synth" --domain math --level 2 --count 1500 --seed 3 --output "$dir/plain.jsonl" 2>/dev/null
"$build/synth" --domain math --level 2 --count 1500 --seed 3 --template chatml --output "$dir/chat.jsonl" 2>/dev/null
"$build/synth" --domain math --level 2 --count 50 --seed 4 --kind eval --output "$dir/eval.jsonl" 2>/dev/null
python3 scripts/promptcot_pairs.py easy="$dir/plain.jsonl" "$dir/pairs.jsonl"
python3 - "$dir" <<'END'
import json, sys
names = sorted({c for line in open(sys.argv[1] + "/pairs.jsonl") for c in json.loads(line)["foundational_concepts"]})
with open(sys.argv[1] + "/concepts.jsonl", "w") as f:
    f.writelines(json.dumps({"concept": n, "domain": "math", "level": 2}) + "\n" for n in names)
END
cd "$dir"
echo '{"work": "lessons", "job": "triples", "pairs": "pairs.jsonl"}' >triples.json
"$build/promptcot" triples.json
"$build/prepare" --tokenizer byte --template chatml --input lessons/generator.jsonl --input chat.jsonl --max-tokens 1024 --overlong drop --output learn.tok
cat >learn.json <<END
{"run_dir": "run", "model": {"config": "$OLDPWD/configs/models/demo.json", "weights": "random"}, "tokenizer": "byte",
 "optim": {"lr": 4e-3, "warmup_steps": 10, "schedule": "cosine", "min_lr_ratio": 0.1}, "batch": {"rows": 8, "micro_rows": 8},
 "phases": [{"name": "learn", "seq_len": 1024, "steps": $steps, "data": [{"path": "learn.tok"}]}],
 "checkpoint": {"every_steps": 1000000}, "log": {"every_steps": 50, "tensorboard": false}}
END
"$build/train" learn.json
"$build/export" --checkpoint "run/$(cat run/latest)" --output own --dtype f32

cat >own.json <<'END'
{"work": "work", "models": [{"name": "own", "folder": "own"}], "concepts": "concepts.jsonl",
 "combine": {"model": "own", "problems": 40, "concepts": 1, "levels": ["easy"], "closeness": 1},
 "rationale": {"model": "own", "samples": 2, "max_new_tokens": 300, "temperature": 0.7},
 "problem": {"model": "own", "max_new_tokens": 300, "temperature": 0.7},
 "decontaminate": {"against": ["eval.jsonl"]},
 "reward": {"model": "own"},
 "answer": {"model": "own", "samples": 4, "max_new_tokens": 300, "temperature": 0.5, "agree": 0.5}}
END
make_data() { "$build/promptcot" own.json --work "$1" && "$build/prepare" --tokenizer byte --input "$1/records.jsonl" --output "$1/phase2.tok"; }
start=$(date +%s%N)
make_data reference
[ -s reference/records.jsonl ] || fail "no records"
all=$(($(date +%s%N) - start)) kills=0
for i in 1 2 3 4 5 6 7 8 9 10; do
    "$build/promptcot" own.json --work killed >/dev/null 2>&1 &
    child=$!
    sleep "$(awk -v n="$i" -v all="$all" 'BEGIN { srand(n); print 0.05 + rand() * all / 9e9 }')"
    kill -KILL "$child" 2>/dev/null && kills=$((kills + 1)) || echo "kill $i came after the end"
    wait "$child" 2>/dev/null || true
done
[ "$kills" -ge 8 ] || fail "only $kills of ten kills came before the end"
make_data killed
for file in combinations.jsonl rationales.jsonl problems.jsonl problem.removed.jsonl judged.jsonl rewarded.jsonl records.jsonl report.json phase2.tok; do
    cmp "reference/$file" "killed/$file"
done
wc -l reference/*.jsonl
echo "promptcot_own: 1 passed, 0 failed, 0 skipped"
