#!/usr/bin/env python3
"""scripts/bench_tokenizers.py - text to token ids: prepare, the SentencePiece library and Hugging Face tokenizers, on the same texts in one run.

usage: scripts/bench_tokenizers.py BUILD_DIR TOKENIZER.model TEXTS.jsonl[.zst] [--mb 30] [--repeat 3]

Needs sentencepiece and tokenizers (pip). TEXTS are records of prepare; of each the contents, joined, are one text. prepare does its whole job
(JSON in, .tok out); the libraries encode texts that are in memory already, in batches, their own threads doing the work. The fast tokenizer is
made from the model as `transformers` makes it for Llama and Mistral. CPU time is what counts on a machine that does other things as well.
"""
import argparse, json, os, resource, subprocess, sys, tempfile, time


def texts_of(path, limit):
    data = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout if path.endswith(".zst") else open(path, "rb").read()
    texts, size = [], 0
    for line in data.splitlines():
        r = json.loads(line)
        texts.append(r.get("text") or "".join(m["content"] for m in r["messages"]) if "text" in r or "messages" in r else r["prompt"] + r["completion"])
        size += len(texts[-1].encode())
        if size >= limit:
            break
    return texts, size


def fast_tokenizer(model):
    import sentencepiece as spm
    from tokenizers import Tokenizer, decoders, models, normalizers
    sp = spm.SentencePieceProcessor(model_file=model)
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    merges = []
    for piece, rank in vocab.items():
        if sp.is_control(rank) or sp.is_byte(rank) or sp.is_unknown(rank):
            continue
        parts = [(piece[:k], piece[k:], rank) for k in range(1, len(piece)) if piece[:k] in vocab and piece[k:] in vocab]
        merges += sorted(parts, key=lambda p: (vocab[p[0]], vocab[p[1]]))
    merges.sort(key=lambda m: m[2])
    t = Tokenizer(models.BPE(vocab, [(a, b) for a, b, _ in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return t


def one(which, model, path, threads):
    """In a process of its own: seconds, CPU seconds and tokens of encoding all texts."""
    texts = json.load(open(path))
    if which == "sentencepiece":
        import sentencepiece as spm
        sp = spm.SentencePieceProcessor(model_file=model)
        encode = lambda batch: sum(map(len, sp.encode(batch, num_threads=threads)))
    else:
        t = fast_tokenizer(model)
        encode = lambda batch: sum(len(e.ids) for e in t.encode_batch_fast(batch, add_special_tokens=False))
    start, cpu = time.perf_counter(), time.process_time()
    n = sum(encode(texts[i:i + 1000]) for i in range(0, len(texts), 1000))
    print(json.dumps([time.perf_counter() - start, time.process_time() - cpu, n]))


def library(which, model, path, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="true")
    return json.loads(subprocess.run([sys.executable, __file__, "--one", which, model, path, str(threads)], check=True, capture_output=True, env=env).stdout)


def ours(build, model, path, out, threads):
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run([os.path.join(build, "prepare"), "--tokenizer", model, "--input", path, "--output", out, "--threads", str(threads)], check=True,
                          capture_output=True, text=True).stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    tokens, docs = (int(said.split(word)[0].split()[-1]) for word in (" tokens,", " documents,"))
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, tokens - 2 * docs


def main():
    if sys.argv[1:2] == ["--one"]:
        return one(*sys.argv[2:5], int(sys.argv[5]))
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("build")
    a.add_argument("model")
    a.add_argument("texts")
    a.add_argument("--mb", type=float, default=30)
    a.add_argument("--repeat", type=int, default=3)
    a = a.parse_args()
    texts, size = texts_of(a.texts, a.mb * 1e6)
    cores = os.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        raw, lines, out = (os.path.join(folder, name) for name in ("texts.json", "texts.jsonl", "x.tok"))
        json.dump(texts, open(raw, "w"))
        with open(lines, "w") as f:
            f.writelines(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts)
        runs = {"prepare (JSON to .tok)": lambda n: ours(a.build, a.model, lines, out, n),
                "SentencePiece": lambda n: library("sentencepiece", a.model, raw, n), "Hugging Face tokenizers": lambda n: library("tokenizers", a.model, raw, n)}
        print(f"{size / 1e6:.1f} MB in {len(texts)} texts; best of {a.repeat}")
        print(f"| | MB/s per core (CPU time, 1 thread) | MB/s, 1 thread | MB/s, {cores} threads | tokens |\n|---|---|---|---|---|")
        got = {name: {1: [], cores: []} for name in runs}
        for _ in range(a.repeat):
            for name, run in runs.items():
                for n in got[name]:
                    got[name][n].append(run(n))
        for name in runs:
            one_thread, every = got[name][1], got[name][cores]
            print(f"| {name} | {size / min(r[1] for r in one_thread) / 1e6:.2f} | {size / min(r[0] for r in one_thread) / 1e6:.2f} | "
                  f"{size / min(r[0] for r in every) / 1e6:.2f} | {one_thread[0][2]} |", flush=True)


main()
