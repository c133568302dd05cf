"""An agent: a model that asks for tools until it has an answer, and a person who allows what can't be undone.

    python examples/agent.py "How much is 6 times 7? Mail it to ada@example.org."
    weftrun signal agent-1 SIGNAL true            # in another terminal; it says which SIGNAL when it asks
    weftrun logs agent-1 --follow                 # what the model says, as it says it

Each turn of the model, and each call of a tool, is a Step: after a crash nothing that was answered is asked, or done,
again. Each question to a person has a signal of its own, so that an answer which is sent twice, or late, answers no
other question. It talks to whatever speaks as OpenAI's chat completions do (`--url`, with the key in $OPENAI_API_KEY);
without a URL, to a stand-in in this program that knows a few sentences.
"""

from __future__ import annotations

import argparse
import ast
import json
import operator
import os
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import weftrun
from weftrun import function, workflow

TURNS_MAX = 8
DAY_S = 86_400.0
Message = dict[str, Any]


def _tool(name: str, description: str, *parameters: str) -> Message:
    schema = {"type": "object", "properties": {key: {"type": "string"} for key in parameters}}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


TOOLS = [
    _tool("calculate", "Work out an expression of numbers and + - * /.", "expression"),
    _tool("send_mail", "Send a mail.", "to", "text"),
]


@function(retries=3, timeout_s=120)
def ask_model(url: str, model: str, messages: list[Message]) -> Message:
    """Return the model's next message; its text is printed as it comes."""
    asked = json.dumps({"model": model, "messages": messages, "tools": TOOLS, "stream": True}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    said: Message = {"role": "assistant", "content": ""}
    calls: dict[int, Message] = {}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/chat/completions", asked, headers)) as answer:
        for delta in _deltas(answer):
            if text := delta.get("content"):
                print(text, end="", flush=True)
                said["content"] += text
            for part in delta.get("tool_calls", ()):
                call = calls.setdefault(part["index"], {"type": "function", "function": {"name": "", "arguments": ""}})
                call["id"] = part.get("id") or call.get("id", "")
                call["function"]["name"] += part["function"].get("name") or ""
                call["function"]["arguments"] += part["function"].get("arguments") or ""
    return said | ({"tool_calls": [calls[number] for number in sorted(calls)]} if calls else {})


def _deltas(answer: Any) -> Iterator[Message]:
    for line in answer:
        event = line.decode().strip().removeprefix("data:").strip()
        if event == "[DONE]":
            return
        if event:
            yield json.loads(event)["choices"][0]["delta"]
    raise ConnectionError("the model's answer broke off")


@function(effects="none", deterministic=True)
def calculate(expression: str) -> str:
    """Work out an expression; it is read, and nothing in it is run."""
    return f"{_value(ast.parse(expression, mode='eval').body):g}"


_SIGNS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left, sign, right) if type(sign) in _SIGNS:
            return float(_SIGNS[type(sign)](_value(left), _value(right)))
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
    raise ValueError(f"{ast.unparse(node)!r} is no expression of numbers and + - * /")


@function
def send_mail(outbox: str, to: str, text: str) -> str:
    """Put a mail where mails are sent from: under the Step's key, so that one that is sent again is the same one."""
    key = weftrun.current().key.replace("/", "-")
    fresh = Path(outbox) / f".{key}"
    fresh.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_text(json.dumps({"to": to, "text": text}), encoding="utf-8")
    fresh.replace(Path(outbox) / f"{key}.json")
    return f"sent to {to}"


@workflow
async def agent(question: str, url: str, model: str, outbox: str, patience_s: float) -> str:
    """Let the model ask for tools until it answers without one."""
    messages: list[Message] = [{"role": "user", "content": question}]
    for _ in range(TURNS_MAX):
        said = await ask_model.step(url, model, messages)
        messages.append(said)
        if "tool_calls" not in said:
            return str(said["content"])
        for call in said["tool_calls"]:
            question = _question(call, len(messages))
            result = await _done(call["function"], question, outbox, patience_s)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    return f"no answer within {TURNS_MAX} turns"


def _question(call: Message, said: int) -> str:
    """Return the name of the signal that answers whether a call is allowed: of that call, and of no other one.

    Some models number their calls anew in each turn, so the name has how much had been said before, too.
    """
    return f"approval-{said}-{re.sub(r'[^A-Za-z0-9_-]', '-', call['id'])[:60]}"


async def _done(wanted: Message, question: str, outbox: str, patience_s: float) -> str:
    """Do what a model asks for, and return what it is told of that; a mistake of its own is told, too."""
    tool = wanted["name"]
    try:
        given = json.loads(wanted["arguments"])
        if tool == "calculate":
            return await calculate.step(given["expression"])
        if tool == "send_mail":
            asked = {"signal": question, "wants": f"mail {given['to']}: {given['text']}"}
            await weftrun.publish("approval", asked)
            is_allowed = await weftrun.signal(question, bool, timeout_s=patience_s)
            weftrun.publish("approval", {"signal": question, "is_allowed": is_allowed})
            if is_allowed:
                return await send_mail.step(outbox, given["to"], given["text"])
            return "a person has refused it"
    except (ValueError, KeyError, SyntaxError) as error:
        return f"{tool} failed: {error!r}"
    except TimeoutError:
        return "nobody has allowed it in time"
    return f"there is no tool {tool}"


class StandIn(BaseHTTPRequestHandler):
    """A model that multiplies, mails, and says so: it streams, and asks for tools, as OpenAI's API does."""

    asked = 0

    def do_POST(self) -> None:
        """Answer a request for a chat completion."""
        type(self).asked += 1
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta in self._turn([m["content"] for m in messages if m["role"] == "tool"]):
            self.wfile.write(f"data: {json.dumps({'choices': [{'delta': delta}]})}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")

    def _turn(self, results: list[str]) -> Iterator[Message]:
        if not results:
            yield from self._call("calculate", {"expression": "6 * 7"})
        elif len(results) == 1:
            yield from self._call("send_mail", {"to": "ada@example.org", "text": f"It is {results[0]}."})
        else:
            for word in ("It is ", results[0], "; the mail: ", results[1], "."):
                time.sleep(0.02)
                yield {"content": word}

    def _call(self, name: str, arguments: Message) -> Iterator[Message]:
        whole = json.dumps(arguments)
        yield {"tool_calls": [{"index": 0, "id": f"call-{name}", "function": {"name": name, "arguments": ""}}]}
        for first in range(0, len(whole), 7):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": whole[first : first + 7]}}]}

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


def main() -> None:
    """Start the agent's Run, or join it, and say what it waits for or what it answered."""
    parser = argparse.ArgumentParser(description="Ask an agent that may calculate, and mail when you allow it.")
    parser.add_argument("question")
    parser.add_argument("--id", default="agent-1", help="of the Run")
    parser.add_argument("--url", help="of a server that speaks as OpenAI's API does, up to /v1")
    parser.add_argument("--port", type=int, default=8499, help="of the stand-in, where no URL is given")
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("--outbox", default="outbox", help="folder of mails")
    parser.add_argument("--patience", type=float, default=DAY_S, help="seconds to wait for an approval")
    given = parser.parse_args()
    url = given.url
    if url is None:
        server = ThreadingHTTPServer(("127.0.0.1", given.port), StandIn)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
    with weftrun.open() as engine:
        run = engine.start(agent.options(id=given.id), given.question, url, given.model, given.outbox, given.patience)
        for event in run.watch("approval", dict):  # from the first one on, also those that were answered before
            if "wants" in event:
                print(
                    f"It wants to {event['wants']}\nAllow it: weftrun signal {given.id} {event['signal']} true",
                    flush=True,
                )
            else:
                print(f"{event['signal']} is {'allowed' if event['is_allowed'] else 'refused'}.", flush=True)
        print(run.result())


if __name__ == "__main__":
    main()
