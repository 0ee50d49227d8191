#!/usr/bin/env bash
# scripts/evaluate.sh - a model on benchmarks, offline: for each task the prompts, the answers, the verdicts, a page; then one table of all.
#
#   scripts/evaluate.sh MODEL TASK... [--truth-dir D] [--output D] [--samples N] [--max-new-tokens N] [--temperature T] [--seed S]
#                       [--batch N] [--jobs N] [--judge paper] [--unsafe]
#
# MODEL is a Hugging Face folder or a checkpoint. The truth of TASK is D/TASK.jsonl (or .jsonl.zst) below --truth-dir (default: truth), as
# scripts/import_math.py, scripts/import_code.py or `synth --kind eval` write it. Sampling is the task's own unless told otherwise.
# In --output (default: runs/eval/NAME OF MODEL) every task has a folder with prompts.jsonl, answers.jsonl, score.json and report.html.
# Ended at any moment, the same command goes on where it was, and the files are the same bytes as those of a run that was never ended.
set -euo pipefail
bin=${BUILD:-$(dirname "$0")/../build/${BACKEND:-cpu}}
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
wrong() { echo "evaluate: $1; --help shows how" >&2; exit 2; }
fail() { echo "evaluate: $1" >&2; exit 1; }

truth=truth output='' words=() sampling=() judging=()
while [ $# -gt 0 ]; do
    option=${1%%=*}
    case $1 in
    --help) usage; exit 0 ;;
    --unsafe) judging+=(--unsafe); shift; continue ;;
    --*=*) value=${1#*=}; shift ;;
    --*) [ $# -gt 1 ] || wrong "$1 needs a value"; value=$2; shift 2 ;;
    *) words+=("$1"); shift; continue ;;
    esac
    case $option in
    --truth-dir) truth=$value ;;
    --output) output=$value ;;
    --samples | --max-new-tokens | --temperature | --seed | --batch) sampling+=("$option" "$value") ;;
    --jobs | --judge) judging+=("$option" "$value") ;;
    *) wrong "unknown option $option" ;;
    esac
done
[ ${#words[@]} -ge 2 ] || wrong "a model folder and at least one task are needed"
model=${words[0]} tasks=("${words[@]:1}")
[ -d "$model" ] || fail "$model: no such model folder"
[ -x "$bin/generate" ] || fail "$bin/generate is not there; run make first"
output=${output:-runs/eval/$(basename "$(cd "$model" && pwd)")}

# Before the first answer is drawn: a wrong task or a missing truth should not show after hours.
declare -A truth_of options_of
for task in "${tasks[@]}"; do
    options_of[$task]=$("$bin/score" --task "$task" --print-sampling)
    for file in "$truth/$task.jsonl" "$truth/$task.jsonl.zst"; do
        if [ -f "$file" ]; then truth_of[$task]=$file; break; fi
    done
    [ -n "${truth_of[$task]:-}" ] || fail "no $truth/$task.jsonl or $truth/$task.jsonl.zst; scripts/import_math.py and scripts/import_code.py make them"
done

# What answers depend on, but for what generate itself looks at: kept beside them, so that finished ones are not mixed up with others.
put() { # FILE: its new content from standard input; replaced only when it differs, and whole
    cat > "$1.new"
    if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}
model_files() { # names, sizes and times: the weights' digest would read them once more for each task
    (cd "$model" && find -L . -maxdepth 1 -type f ! -name 'exp_avg*' -printf '%P %s %T@\n' | LC_ALL=C sort)
}

for task in "${tasks[@]}"; do
    into=$output/$task
    mkdir -p "$into"
    read -r -a options <<<"${options_of[$task]}"
    options+=(${sampling[@]+"${sampling[@]}"}) # later ones win
    "$bin/score" --task "$task" --truth "${truth_of[$task]}" --write-prompts "$into/prompts.jsonl"
    settings=$(printf '%s\n' "generate ${options[*]}" "prompts $(sha256sum < "$into/prompts.jsonl")" "programs ${bin##*/}"; model_files)
    if [ -e "$into/answers.jsonl" ] || [ -e "$into/answers.jsonl.journal" ]; then there=1; else there=''; fi
    if [ "$there" ] && [ -f "$into/settings.txt" ] && [ "$(cat "$into/settings.txt")" != "$settings" ]; then
        fail "$into has answers of another model, other prompts or other sampling (see settings.txt there); give another --output, or remove that folder"
    fi
    printf '%s\n' "$settings" | put "$into/settings.txt"
    if [ -f "$into/answers.jsonl" ] && [ ! -e "$into/answers.jsonl.journal" ]; then
        echo "evaluate: $task: $into/answers.jsonl is whole" >&2
    else
        "$bin/generate" --model "$model" --input "$into/prompts.jsonl" --output "$into/answers.jsonl" "${options[@]}"
    fi
    "$bin/score" --task "$task" --truth "${truth_of[$task]}" --answers "$into/answers.jsonl" --output "$into/score.json" \
        --html "$into/report.html" ${judging[@]+"${judging[@]}"}
done

scores=()
for task in "${tasks[@]}"; do scores+=(--score "$task=$output/$task/score.json"); done
"$bin/report" --output "$output/report.html" --title "Evaluation of $(basename "$(cd "$model" && pwd)")" "${scores[@]}"
echo "evaluate: open $output/report.html" >&2
