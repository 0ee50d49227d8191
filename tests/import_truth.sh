#!/usr/bin/env bash
# tests/import_truth.sh - scripts/import_math.py and import_code.py: what they make of each published form, made up here; what they refuse, in
# one line and with nothing written; and, with ../shared/corpus, that score takes what they make of the published files.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${PCM_BUILD:-build/cpu}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
corpus=../shared/corpus/eval
bad=0

says() { # WHAT GOT WANT
    [ "$2" = "$3" ] || { printf '%s:\n  got  %s\n  want %s\n' "$1" "$2" "$3"; bad=1; }
}
gives() { # math|code SET WANT: of $dir/in, all of the truth file
    rm -f "$dir/out"
    scripts/import_"$1".py "$2" "$dir/in" "$dir/out" 2>"$dir/err" || { cat "$dir/err"; bad=1; }
    says "$2" "$(cat "$dir/out")" "$3"
}
refuses() { # math|code SET WORDS: one line with these words, exit code 1, no file
    local code=0
    rm -f "$dir/out"
    scripts/import_"$1".py "$2" "$dir/in" "$dir/out" 2>"$dir/err" || code=$?
    says "$2, exit code" "$code" 1
    says "$2, lines" "$(wc -l <"$dir/err")" 1
    grep -qF -- "$3" "$dir/err" || { echo "$2: \"$(cat "$dir/err")\" has no \"$3\""; bad=1; }
    [ ! -e "$dir/out" ] && [ ! -e "$dir/out.new" ] || { echo "$2: something was written"; bad=1; }
}

# The forms of mathematics: the paper's file with both years, NeMo-Skills', a rendered prompt with its solution, a unit, a rounded answer.
cat >"$dir/in" <<'END'
{"id": "a", "problem": "x?", "answer": "033", "source": "aime2024"}
{"id": "b", "problem": "y?", "answer": "7", "source": "aime2025"}
END
gives math aime24 '{"id": "a", "problem": "x?", "answer": "033"}'
gives math aime25 '{"id": "b", "problem": "y?", "answer": "7"}'
echo '[{"problem": "x?", "expected_answer": 73}]' >"$dir/in"
gives math aime24 '{"id": "aime24-01", "problem": "x?", "answer": "73"}'
echo '{"unique_id": "test/1.json", "problem": "p", "answer": "\\frac12", "subject": "S", "level": 2}' >"$dir/in"
gives math math500 '{"id": "test/1.json", "problem": "p", "answer": "\\frac12", "subject": "S", "level": 2}'
echo '{"prompt": "<|im_start|>user\np\nPlease reason step by step, and", "reference_solution": "so\n#### 5"}' >"$dir/in"
gives math math500 '{"id": 1, "problem": "p", "answer": "5"}'
cat >"$dir/in" <<'END'
{"id": 1, "context": "c", "question": "q", "final_answer": ["$3$"], "unit": "$cm^{2}$", "error": null}
{"id": 2, "context": null, "question": "q", "final_answer": ["1,2"], "unit": "km", "is_multiple_answer": true, "error": "1e-1"}
END
gives math olympiadbench '{"id": 1, "problem": "c\nq", "answer": "3\\text{ cm}^{2}"}
{"id": 2, "problem": "q", "answer": "1,2", "tolerance": "0.1"}'
echo '{"id": 0, "question": "q", "answer": 27.0, "url": "u"}' | gzip >"$dir/in"
gives math amc23 '{"id": 0, "problem": "q", "answer": "27"}'
echo '{"question": "q", "answer": "<<1+1=2>>\n#### 2"}' | zstd -q >"$dir/in"
gives math gsm8k '{"id": 1, "problem": "q", "answer": "<<1+1=2>>\n#### 2"}'

# Programs: what each benchmark's records keep, the window of days, several files in one.
echo '{"task_id": "T/0", "prompt": "p", "entry_point": "f", "test": "t", "canonical_solution": "s", "more": 1}' >"$dir/in"
gives code humaneval '{"id": "T/0", "prompt": "p", "entry_point": "f", "test": "t", "canonical_solution": "s"}'
gives code humanevalplus '{"id": "T/0", "prompt": "p", "entry_point": "f", "test": "t", "canonical_solution": "s"}'
echo '{"task_id": 2, "prompt": "p", "code": "def f(x):\n    return x", "test_imports": ["import math"], "test_list": [], "test": "assert f(1) == 1"}' >"$dir/in"
gives code mbppplus \
    '{"id": 2, "prompt": "p", "entry_point": "f", "test": "import math\nassert f(1) == 1", "test_list": [], "code": "def f(x):\n    return x"}'
for day in 2024-07-31 2024-08-01 2025-02-01 2025-02-02; do
    printf '{"question_id": "%s", "contest_date": "%sT00:00:00"' $day $day
    for key in question_title question_content platform contest_id difficulty starter_code public_test_cases private_test_cases metadata; do
        printf ', "%s": ""' $key
    done
    echo '}'
done >"$dir/in"
scripts/import_code.py livecodebench "$dir/in" "$dir/in" "$dir/out" --from 2024-08-01 --to 2025-02-01 2>/dev/null
says livecodebench "$(sed 's/"\([0-9-]*\)", .*/\1/;s/.* //' "$dir/out" | tr '\n' ' ')" "2024-08-01 2025-02-01 2024-08-01 2025-02-01 "

# Not what was named.
echo '{"question": "q"}' >"$dir/in"
refuses math aime24 "in:1: the record has no reference_solution or solution; is this the published file of aime24?"
refuses code humaneval "in:1: the record has no task_id; is this the published file of humaneval?"
refuses code livecodebench "in:1: the record has no contest_date"
echo '{"problem": "x?", "answer": "1", "source": "aime2025"}' >"$dir/in"
refuses math aime24 "holds no problem of aime24"
echo '{"task_id": 1, "prompt": "p", "entry_point": "f", "test": "t", "canonical_solution": "s", "plus_input": []}' >"$dir/in"
refuses code humanevalplus "OriginFmt"
echo '{"question": "q", "final_answer": []}' >"$dir/in"
refuses math olympiadbench "in:1: the record is not as the published file of olympiadbench has it"
echo '{"contest_date": null}' >"$dir/in"
refuses code livecodebench "in:1: the record is not as the published file of livecodebench has it"
printf '{"task_id": 1}\n{"task' >"$dir/in"
refuses code humaneval "in:2: "
echo '[1]' >"$dir/in"
refuses math gsm8k "expected an object, got 1"
echo '{"a": 1}' | gzip | head -c 12 >"$dir/in"
refuses math gsm8k "is damaged"
printf '\037\213\010\0\0\0\0\0\0\3\377\377' >"$dir/in"
refuses math gsm8k "is damaged"
rm "$dir/in"
refuses math gsm8k "No such file"
refuses code humaneval "No such file"

# The published files: as many problems as there are, and score reads each.
takes() { # math|code SET FILE PROBLEMS
    [ -d "$corpus" ] || return 0
    scripts/import_"$1".py "$2" "$corpus/$3" "$dir/$2.jsonl" 2>"$dir/err" || { cat "$dir/err"; bad=1; }
    "$bin/score" --task "$2" --truth "$dir/$2.jsonl" --write-prompts "$dir/prompts" 2>"$dir/err" || { cat "$dir/err"; bad=1; }
    says "$3" "$(wc -l <"$dir/prompts")" "$4"
}
takes math aime24 aime24_solutions.jsonl 30
[ ! -d "$corpus" ] || mv "$dir/aime24.jsonl" "$dir/other24.jsonl"
takes math aime24 aime24.jsonl 30
takes math math500 math500_qwq_prompts.jsonl.zst 500
[ ! -d "$corpus" ] || mv "$dir/math500.jsonl" "$dir/other500.jsonl"
takes math math500 math500.jsonl.zst 500
takes math amc23 amc23.jsonl 40
takes math gsm8k gsm8k_test.jsonl.zst 1319
takes math olympiadbench olympiadbench_oe_to_maths_en_comp.jsonl.zst 675
takes code humaneval humaneval.jsonl.zst 164
takes code humanevalplus humanevalplus_originfmt.jsonl.zst 164
takes code mbppplus mbppplus_originfmt.jsonl.zst 378
takes code livecodebench lcb_native_format_3.jsonl 3
if [ -d "$corpus" ]; then # two sources of the same set have the same answers
    answers() { sed 's/.*"answer": "\([^"]*\)".*/\1/' "$1" | sort; }
    says "AIME 24 from two sources" "$(answers "$dir/other24.jsonl")" "$(answers "$dir/aime24.jsonl")"
    says "MATH-500 from two sources" "$(answers "$dir/other500.jsonl")" "$(answers "$dir/math500.jsonl")"
fi
[ $bad = 0 ]
