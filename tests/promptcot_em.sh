#!/usr/bin/env bash
# tests/promptcot_em.sh - one round of expectation and maximisation from pairs to two fine-tuned models, in small; run again, nothing changes.
set -euo pipefail
build=${PCM_BUILD:?}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$build/synth" --domain math --level 1 --count 12 --seed 3 --output "$dir/synth.jsonl" 2>/dev/null
python3 scripts/promptcot_pairs.py easy="$dir/synth.jsonl" "$dir/pairs.jsonl"
cat >"$dir/learn.json" <<END
{"run_dir": "x", "model": {"config": "x"}, "optim": {"lr": 1e-3, "warmup_steps": 1}, "batch": {"rows": 4, "micro_rows": 4},
 "phases": [{"name": "learn", "seq_len": 768, "steps": 2, "data": [{"path": "x"}]}],
 "checkpoint": {"every_steps": 1000}, "log": {"tensorboard": false}}
END
round() {
    BUILD=$build scripts/promptcot_em.sh --pairs "$dir/pairs.jsonl" --output "$dir/out" --start configs/models/demo.json --config "$dir/learn.json" \
        --start-steps 3 --steps 2 --samples 4 --max-new-tokens 100 2>"$dir/log" || { cat "$dir/log"; exit 1; }
}
digest() { find "$dir/out" -name '*.jsonl' -o -name 'report.json' -o -name 'model.safetensors' -o -name '*.tok' | sort | xargs sha256sum; }
round
grep -q 'mean reward of the best rationales: -[0-9.]* before, -[0-9.]* with the new rationale model, -[0-9.]* with both' "$dir/log"
for name in rationale_model_0 generator_0 rationale_model generator; do
    [ -s "$dir/out/$name/model.safetensors" ] || { echo "no $name"; exit 1; }
done
cmp -s "$dir/out/generator/model.safetensors" "$dir/out/generator_0/model.safetensors" && { echo "the generator learnt nothing"; exit 1; }
cmp -s "$dir/out/rationale_model/model.safetensors" "$dir/out/rationale_model_0/model.safetensors" && { echo "the rationale model learnt nothing"; exit 1; }
[ "$(wc -l <"$dir/out/triples/generator.jsonl")" = 12 ] || { echo "not 12 lessons"; exit 1; }
digest >"$dir/before"
round
digest | cmp - "$dir/before"
