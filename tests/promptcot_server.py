#!/usr/bin/env python3
"""A small OpenAI-compatible server for tests and tries of promptcot: what it answers is a function of the request, in the form that each
step of the pipeline expects (rationales, problems, judgements, worked answers, embeddings, log-probabilities); a few answers are of bad
form or wrong, as models' are. It can also be trouble: with --trouble R a share R of the requests fails once, in one of seven ways."""
import argparse
import hashlib
import http.server
import json
import os
import re
import threading
import time

TROUBLES = ["status 500", "status 429", "closed", "hang", "no json", "no choices", "cut off"]
NONSENSE = ["huge numbers"]


def number(*parts):
    """A number that depends on the parts alone."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:6], "big")


def rationale(prompt, seed):
    concepts = re.findall(r"^\d+\. (.*)$", prompt, re.M)
    n = number("rationale", prompt, seed)
    return f"Begin with {concepts[0] if concepts else 'a count'} and let {concepts[-1] if concepts else 'a sum'} close it; variant {n % 1000}."


def problem(prompt, seed):
    n = number("problem", prompt, seed)
    things = ["shells", "stamps", "coins", "cards", "beads"][n % 5]
    return f"A club keeps {2 + n // 5 % 40} boxes of {3 + n // 200 % 50} {things} each and {n // 9999 % 90} loose ones. How many {things} are there?"


def judgement(prompt, seed):
    verdict = "perfect" if number("judge", prompt, seed) % 5 else ["acceptable", "bad"][number("bad", prompt) % 2]
    return f"1. Format: Perfect, both parts are there.\n2. Factual accuracy: Perfect.\n\nFinal Judgement: {verdict}"


def solution(prompt, seed):
    a, b, c = (list(map(int, re.findall(r"\d+", prompt))) + [1, 1, 1])[:3]
    right = a * b + c
    n = number("solve", prompt, seed) % 6
    answer = right + 1 if n == 0 else right
    return f"There are {a} times {b} in boxes: {a * b}. With {c} more: {answer}.", f"Altogether \\boxed{{{answer}}}."


def inputs(prompt):
    """As asked for, in the marks; for some problems none."""
    n = number("inputs", prompt)
    numbers = [0, 1, n % 1000, n % 1000 + 1, 10**9] if n % 9 else []
    return "Here they are.\n" + "\n".join(f"<!-- BEGIN INPUT -->\n{x}\n<!-- END INPUT -->" for x in numbers)


def program(prompt, seed):
    """Programs that say how many things so many clubs own, in several spellings; some are wrong, and some of these only for some inputs."""
    a, b, c = (list(map(int, re.findall(r"\d+", prompt))) + [1, 1, 1])[:3]
    n = number("program", prompt, seed)
    right = [f"print(int(input()) * {a * b + c})", f"import sys\nn = int(sys.stdin.read())\nprint(n * {a} * {b} + n * {c})",
             f"print(sum(int(x) * {a * b + c} for x in input().split()), end='\\n\\n')"]
    wrong = [f"print(int(input()) * {a * b + c + 1})", f"n = int(input())\nprint(n * {a * b + c} if n < 10**9 else 0)", "print(1 / 0)", "while True: pass"]
    text = right[n // 8 % 3] if n % 8 else wrong[n // 8 % 4]
    return "One club after the other.", f"```python\n{text}\n```"


def answered(prompt, seed):
    return program(prompt, seed) if "correct Python program" in prompt else solution(prompt, seed)


def completion(prompt, seed):
    """Text and finish reason, for a prompt that breaks off where the answer begins."""
    if prompt.endswith("<!-- BEGIN RATIONALE -->\n"):
        return rationale(prompt, seed) + "\n", "length" if number("cut", prompt, seed) % 11 == 0 else "stop"
    if prompt.endswith("<!-- BEGIN PROBLEM -->\n"):
        return problem(prompt, seed) + "\n", "stop"
    if "Final Judgement" in prompt:
        return judgement(prompt, seed), "stop"
    if "BEGIN INPUT" in prompt:
        return f"Let me see.\n</think>\n\n{inputs(prompt)}", "stop"
    thought, said = answered(prompt, seed)
    return f"{thought}\n</think>\n\n{said}", "stop"


def message(prompt, seed):
    if "First write your rationale" in prompt or "Write the rationale from which" in prompt:
        return {"content": f"Sure.\n<!-- BEGIN RATIONALE -->\n{rationale(prompt, seed)}\n<!-- END RATIONALE -->"}
    if "Now write the question" in prompt:
        return {"content": f"<!-- BEGIN PROBLEM -->\n{problem(prompt, seed)}\n<!-- END PROBLEM -->\nI hope it is of use."}
    if "Final Judgement" in prompt:
        return {"content": judgement(prompt, seed)}
    if "BEGIN INPUT" in prompt:
        return {"content": inputs(prompt)}
    thought, said = answered(prompt, seed)
    return {"content": said, "reasoning_content": thought}


def words(text):
    return max(1, len(text) // 4)


def echo(prompt):
    """Tokens of four characters, the first without a log-probability."""
    at = list(range(0, len(prompt), 4))
    p = [-(number("p", prompt[i:i + 4]) % 1000) / 200 for i in at]
    return {"tokens": [prompt[i:i + 4] for i in at], "token_logprobs": [None] + p[1:], "text_offset": at}


def answer(path, q):
    seed = q.get("seed", 0)
    if path.endswith("/embeddings"):
        n = number("vector", q["input"])
        return {"data": [{"index": 0, "embedding": [(n >> 5 * i & 31) / 16 - 1 for i in range(8)]}], "usage": {"prompt_tokens": words(q["input"])}}
    if path.endswith("/chat/completions"):
        prompt = q["messages"][-1]["content"]
        m = message(prompt, seed)
        choice = {"index": 0, "message": {"role": "assistant", **m}, "finish_reason": "stop"}
        out = words(json.dumps(m))
    elif q.get("echo"):
        prompt = q["prompt"]
        choice, out = {"index": 0, "text": prompt, "logprobs": echo(prompt), "finish_reason": "length"}, 0
    else:
        prompt = q["prompt"]
        text, finish = completion(prompt, seed)
        choice, out = {"index": 0, "text": text, "finish_reason": finish}, words(text)
    return {"choices": [choice], "usage": {"prompt_tokens": words(prompt), "completion_tokens": out}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options = None
    tried, lock = set(), threading.Lock()

    def log_message(self, *_):
        pass

    def send(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def trouble(self, kind, body):
        if kind == "status 500":
            self.send(500, b"out of memory")
        elif kind == "status 429":
            self.send(429, b"slower, please", [("Retry-After", "0")])
        elif kind == "closed":
            self.close_connection = True
        elif kind == "hang":
            time.sleep(self.options.hang)
            self.close_connection = True
        elif kind == "no json":
            self.send(200, b"<html>It works!</html>")
        elif kind == "huge numbers":
            self.send(200, json.dumps({"data": [{"embedding": [1e200] * 8}]}).encode())
        elif kind == "no choices":
            self.send(200, b'{"object": "list", "choices": []}')
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:len(body) // 2])
            self.close_connection = True

    def do_POST(self):
        o = self.options
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if o.latency:
            time.sleep(o.latency)
        if o.key and self.headers.get("Authorization") != f"Bearer {o.key}":
            self.send(401, b'{"error": "wrong key"}')
            return
        body = json.dumps(answer(self.path, json.loads(raw))).encode()
        name = hashlib.sha256(raw).digest()
        with self.lock:
            first = name not in self.tried
            self.tried.add(name)
        n = int.from_bytes(name[:4], "big")
        if n // 7 % 1000 < 1000 * o.refuse:
            self.send(400, b"the prompt is too long")
        elif o.always or (first and n % 1000 < 1000 * o.trouble):
            self.trouble(o.always or TROUBLES[n // 1000 % len(TROUBLES)], body)
        else:
            self.send(200, body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_):  # a client that went away
        pass


p = argparse.ArgumentParser(description=__doc__)
p.add_argument("--port", type=int, default=8123, help="0: a free one")
p.add_argument("--port-file", help="gets the port's number when the server listens")
p.add_argument("--key", help="the bearer token that requests must have")
p.add_argument("--trouble", type=float, default=0, help="share of the requests that fail once")
p.add_argument("--always", choices=TROUBLES + NONSENSE, help="every request fails in this way")
p.add_argument("--refuse", type=float, default=0, help="share of the requests that are refused each time they are made")
p.add_argument("--hang", type=float, default=30, help="seconds that a hanging request waits")
p.add_argument("--latency", type=float, default=0, help="seconds before each answer")
Handler.options = p.parse_args()
server = Server(("127.0.0.1", Handler.options.port), Handler)
if Handler.options.port_file:
    with open(Handler.options.port_file + ".part", "w") as f:
        f.write(str(server.server_address[1]))
    os.rename(Handler.options.port_file + ".part", Handler.options.port_file)
server.serve_forever()
