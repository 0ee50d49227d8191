#!/usr/bin/env bash
# scripts/promptcot_em.sh --pairs PAIRS.jsonl --generator P --rationale-model Q --output DIR [options]
# One round of expectation and maximisation as in PromptCoT 2.0, over problems that are there ({"foundational_concepts", "level", "problem"} a line):
#   1. Q writes several rationales for each problem; the best by log p(problem | rationale, concepts) + log p(rationale | concepts) under P stay;
#   2. Q is fine-tuned on them: DIR/rationale_model;
#   3. the new Q writes rationales again, the best stay, and P is fine-tuned on them: DIR/generator.
# P and Q are model folders. With --start CONFIG.json (a model's shape) instead of them both begin with random weights and learn the pairs' own rationales.
#   --samples N        rationales for each problem (8)
#   --max-new-tokens N of a rationale (512)
#   --config FILE      how `train` fine-tunes (configs/promptcot-em.json)
#   --steps N, --start-steps N   of each fine-tuning, and of the first one after --start; not given: the config's
# A run that was ended goes on when it is started again.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BUILD:-build/cpu}
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}
pairs='' generator='' rationale='' out='' start='' samples=8 longest=512 config=configs/promptcot-em.json steps='' start_steps=''
usage() {
    sed -n '2,13s/^# \{0,1\}//p' "$0"
    exit "$1"
}
while [ $# -gt 0 ]; do
    case $1 in
    --help) usage 0 ;;
    --pairs) pairs=$2 ;;
    --generator) generator=$2 ;;
    --rationale-model) rationale=$2 ;;
    --output) out=$2 ;;
    --start) start=$2 ;;
    --samples) samples=$2 ;;
    --max-new-tokens) longest=$2 ;;
    --config) config=$2 ;;
    --steps) steps=$2 ;;
    --start-steps) start_steps=$2 ;;
    *) usage 2 >&2 ;;
    esac
    shift 2 || usage 2 >&2
done
[ -n "$pairs" ] && [ -n "$out" ] && { [ -n "$start" ] || { [ -n "$generator" ] && [ -n "$rationale" ]; }; } || usage 2 >&2
mkdir -p "$out"
row=$(sed -n 's/.*"seq_len": *\([0-9]*\).*/\1/p' "$config" | head -n 1) # longer lessons are left out

learn() { # NAME LESSONS.jsonl STEPS MODEL...: fine-tunes, exports to $out/NAME; MODEL: settings of where it begins
    local name=$1 lessons=$2 n=$3
    shift 3
    [ ! -e "$out/$name/manifest.json" ] && [ ! -e "$out/$name/config.json" ] || return 0
    "$bin/prepare" --tokenizer "$tokenizer" --input "$lessons" --output "$out/$name.tok" --max-tokens "$row" --overlong drop
    "$bin/train" "$config" --run_dir="$out/$name.run" --tokenizer="$tokenizer" --phases.0.data.0.path="$out/$name.tok" ${n:+--phases.0.steps="$n"} "$@"
    "$bin/export" --checkpoint "$out/$name.run/$(cat "$out/$name.run/latest")" --output "$out/$name"
}
expect() { # NAME Q P: rationales of Q, rewarded by P
    cat >"$out/$1.json" <<END
{"work": "$out/$1", "job": "expectation", "pairs": "$pairs",
 "models": [{"name": "rationale", "folder": "$2"}, {"name": "generator", "folder": "$3"}],
 "posterior": {"model": "rationale", "samples": $samples, "max_new_tokens": $longest}, "reward": {"model": "generator"}}
END
    "$bin/promptcot" "$out/$1.json"
}
reward() { sed -n 's/.*"mean_reward": *\([-0-9.e]*\).*/\1/p' "$out/$1/report.json"; }

if [ -n "$start" ]; then
    tokenizer=byte
    printf '{"work": "%s", "job": "triples", "pairs": "%s"}\n' "$out/triples" "$pairs" >"$out/triples.json"
    "$bin/promptcot" "$out/triples.json"
    learn rationale_model_0 "$out/triples/rationale_model.jsonl" "$start_steps" --model.config="$start" --model.weights=random
    learn generator_0 "$out/triples/generator.jsonl" "$start_steps" --model.config="$start" --model.weights=random
    rationale=$out/rationale_model_0 generator=$out/generator_0
fi
tokenizer=$generator

expect expectation_0 "$rationale" "$generator"
learn rationale_model "$out/expectation_0/rationale_model.jsonl" "$steps" --model.config="$rationale/config.json" --model.weights="$rationale"
expect expectation_1 "$out/rationale_model" "$generator"
learn generator "$out/expectation_1/generator.jsonl" "$steps" --model.config="$generator/config.json" --model.weights="$generator"
expect expectation_2 "$out/rationale_model" "$out/generator"
echo "promptcot_em: mean reward of the best rationales: $(reward expectation_0) before, $(reward expectation_1) with the new rationale model," \
    "$(reward expectation_2) with both; models: $out/rationale_model $out/generator" >&2
