#!/usr/bin/env python3
"""Rolls dice and adds them up: a robot that speaks docs/reference/process-protocol.md."""

import json
import random
import re
import sys


def tell(kind, **fields):
    print(json.dumps({"type": kind, **fields}), flush=True)


def answer(event):
    if event["kind"] != "message":
        return None
    wanted = re.search(r"(\d{1,2})?d(\d{1,4})", event["text"])
    if not wanted or not int(wanted[2]):
        return "Tell me what to roll, such as `2d6`."
    # The same event, the same dice: it comes again after a kill.
    dice = random.Random(event["id"])
    rolled = [dice.randint(1, int(wanted[2])) for _ in range(int(wanted[1] or 1))]
    return f"{' + '.join(map(str, rolled))} = **{sum(rolled)}**"


# Ends when the input does, as it should.
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        tell("ready", version=1)
    elif message["type"] == "ping":
        tell("pong", n=message["n"])
    elif message["type"] == "event":
        if text := answer(message):
            tell("say", id=message["id"], text=text)
        tell("done", id=message["id"])
    elif message["type"] == "error":
        print(message["message"], file=sys.stderr)
