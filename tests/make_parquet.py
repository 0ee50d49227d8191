#!/usr/bin/env python3
"""tests/make_parquet.py - writes tests/data/*.parquet, small files of made-up rows by pyarrow, and what they must read as (rows.jsonl).

Only needed to make them anew (pip install pyarrow); the tests read what is in the repository. Every file holds the same rows: each codec,
data pages v1 and v2, each encoding that pyarrow writes, dictionaries that give up in the middle of a chunk, several row groups, small pages.
"""
import json
import pathlib
import pyarrow as pa
import pyarrow.parquet as pq

N = 100
words = "sum of two odd numbers is even and the product of two odd numbers is odd".split()


def row(i):
    turns = [None, [], [{"from": "user", "value": f"What is {i} + {i * i}?"}, {"from": "assistant", "value": f"<think>\n{i}+{i * i}\n</think>\n\n\\boxed{{{i + i * i}}}"}],
             [{"from": "user", "value": None}, None, {"from": None, "value": "π ≈ 3, 素数, 🙂"}]][i % 4]
    return {
        "id": i * 1000003 - 70000000,
        "text": None if i % 7 == 3 else " ".join(words[: i % 15]) + ("" if i % 5 else f" #{i}"),
        "kind": ["algebra", "geometry", "number theory"][i * i % 3],
        "small": None if i % 11 == 0 else (i * 7919) % 100 - 50,
        "score": None if i % 6 == 5 else i / 8,
        "ratio": i / 4,
        "flag": None if i % 9 == 4 else i % 3 == 0,
        "tags": [None, [], ["a"], ["a", None, "b" * (i % 5)], ["x"] * (i % 13)][i % 5],
        "turns": turns,
        "meta": None if i % 8 == 6 else {"level": i % 5, "from": {"year": 1900 + i, "name": None if i % 3 else f"set {i // 3}"}},
        "grid": [None, [], [[1, 2], []], [None, [i]]][(i + 1) % 4],
        "code": f"{i:04d}".encode(),
        "must": f"row-{i:05d}",
        "count": 4294967295 - i * i,
    }


schema = pa.schema([
    ("id", pa.int64()), ("text", pa.string()), ("kind", pa.string()), ("small", pa.int32()), ("score", pa.float64()), ("ratio", pa.float32()),
    ("flag", pa.bool_()), ("tags", pa.list_(pa.string())), ("turns", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))),
    ("meta", pa.struct([("level", pa.int32()), ("from", pa.struct([("year", pa.int64()), ("name", pa.string())]))])),
    ("grid", pa.list_(pa.list_(pa.int64()))), ("code", pa.binary(4)), pa.field("must", pa.string(), nullable=False),
    ("count", pa.uint32())])
rows = [row(i) for i in range(N)]
table = pa.Table.from_pylist(rows, schema)
strings = ["text", "kind", "tags.list.element", "turns.list.element.from", "turns.list.element.value", "meta.from.name", "must"]
integers = ["id", "small", "count", "meta.level", "meta.from.year", "grid.list.element.list.element"]
small = dict(data_page_size=300, write_batch_size=16, use_content_defined_chunking=False)
files = {
    "none.v1.plain": dict(compression="none", use_dictionary=False),
    "snappy.v1.dictionary": dict(compression="snappy", row_group_size=64),
    "gzip.v1.fallback": dict(compression="gzip", dictionary_pagesize_limit=200, **small),
    "zstd.v1.pages": dict(compression="zstd", row_group_size=100, write_page_checksum=True, **small),
    "none.v2.dictionary": dict(compression="none", data_page_version="2.0", **small),
    "snappy.v2.plain": dict(compression="snappy", data_page_version="2.0", use_dictionary=False, row_group_size=40),
    "zstd.v2.delta_length": dict(compression="zstd", data_page_version="2.0", use_dictionary=False, column_encoding={
        **{s: "DELTA_LENGTH_BYTE_ARRAY" for s in strings}, **{i: "DELTA_BINARY_PACKED" for i in integers}, "flag": "RLE"}, **small),
    "gzip.v2.delta_bytes": dict(compression="gzip", data_page_version="2.0", use_dictionary=False, column_encoding={
        **{s: "DELTA_BYTE_ARRAY" for s in strings}, **{i: "DELTA_BINARY_PACKED" for i in integers}, "code": "DELTA_BYTE_ARRAY", "flag": "RLE"}),
    "none.v1.split": dict(compression="none", use_dictionary=False, column_encoding={
        "score": "BYTE_STREAM_SPLIT", "ratio": "BYTE_STREAM_SPLIT", **{i: "BYTE_STREAM_SPLIT" for i in integers}, "code": "BYTE_STREAM_SPLIT"}),
    "older_lists": dict(compression="snappy", use_compliant_nested_type=False),
}
to = pathlib.Path(__file__).parent / "data"
to.mkdir(exist_ok=True)
for name, how in files.items():
    pq.write_table(table, to / f"{name}.parquet", store_schema=False, **how)
pq.write_table(table.select(["id", "text"]), to / "refused.brotli.parquet", compression="brotli", store_schema=False)
pq.write_table(pa.table({"text": pa.array([b"good", b"\xff\xfe", b"nul\0here", None, b"fine"], pa.binary())}), to / "not_text.parquet", store_schema=False)
pq.write_table(table.slice(0, 0), to / "no_rows.parquet", store_schema=False)
pq.write_table(pa.table({"prompt": ["a", "b"], "completion": pa.nulls(2)}), to / "nulls.parquet", store_schema=False)
with open(to / "rows.jsonl", "w", encoding="utf-8") as f:
    for r in rows:
        r["code"] = r["code"].decode()
        f.write(json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n")


# The published sets in miniature, as a hub download leaves them: made-up rows in their columns. tests/test_import.c and test_select.c read them.
def write_set(path, names, of, n, **types):
    path = to / "sets" / path
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    pq.write_table(pa.Table.from_pylist([of(i) for i in range(n)], schema), path, store_schema=False)


def thought(i, answer):
    return "<think>\n" + " ".join(words[: 3 + i % 9]) + f"\n</think>\n\n{answer}"


code_columns = "id input output source license dataset split difficulty solution".split()


def code_row(i, statement=True):
    solution = f"```python\nprint(int(input()) + {i})\n```"
    return {"id": f"{i:032x}", "input": f"Read a number and print it plus {i}." if statement else "-", "output": thought(i, solution),
            "source": ["codeforces", "aizu"][i % 2], "license": "mit", "dataset": "taco" if not statement else "-",
            "split": "train" if not statement else "-", "difficulty": "EASY", "solution": solution, "index": str(i)}


write_set("code/split_0/train-00000-of-00002.parquet", code_columns, code_row, 12)
write_set("code/split_0/train-00001-of-00002.parquet", code_columns, lambda i: code_row(10 + i), 8)  # ids 10 and 11 are there twice
write_set("code/split_1/train-00000-of-00001.parquet", code_columns + ["index"], lambda i: code_row(100 + i, False), 5)


def thoughts_row(i):
    answer = thought(i, f"It is \\boxed{{{2 * i}}}." if i % 3 else f"It is {2 * i}.")
    user = f"What is twice {i}?" if i % 4 else f"两倍的 {i} 是多少？请一步一步地思考，并给出最后的答案。"
    turns = None if i == 9 else [] if i == 10 else [{"from": ["user", "human"][i % 2], "value": user}, {"from": ["assistant", "gpt"][i % 2], "value": None if i == 11 else answer}]
    return {"conversations": turns, "question": user, "source": None if i % 5 == 0 else "made up", "id": i}


write_set("thoughts/data/train-00000-of-00001.parquet", ["conversations", "question", "source", "id"], thoughts_row, 24,
          conversations=pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())])), id=pa.int64())
math_columns = "expected_answer problem_type problem_source generation_model pass_rate_72b_tir problem generated_solution inference_mode used_in_kaggle".split()


def math_row(i, mode="cot"):
    return {"expected_answer": str(3 * i), "problem_type": ["has_answer_extracted", "no_answer_extracted"][i % 5 == 4], "problem_source": "made up",
            "generation_model": "nobody", "pass_rate_72b_tir": ["n/a", "0.125", "0.5", "1.0"][i % 4], "problem": f"Compute $3 \\cdot {i}$.",
            "generated_solution": thought(i, f"\\boxed{{{3 * i + (i % 7 == 6)}}}"), "inference_mode": mode, "used_in_kaggle": i % 2 == 0}


write_set("math/data/cot-00000-of-00001.parquet", math_columns, math_row, 30, used_in_kaggle=pa.bool_())
write_set("math/data/tir-00000-of-00001.parquet", math_columns, lambda i: math_row(i, "tir"), 4, used_in_kaggle=pa.bool_())
(to / "sets" / "math" / "README.md").write_text("A file that lies beside the data and is none.\n")
