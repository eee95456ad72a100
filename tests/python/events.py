#!/usr/bin/env python3
"""Has a real valkey-server say which keyspace events calls bring: rewrites the last column of core/tests/data/events*.txt.

Usage: events.py VALKEY-SERVER [FILE...]

Lines are `calls before | call | events in order`. Calls before are parted by `; `, `1:` in front of a call has it run in
database 1, `wait MS` lets time pass; nothing expires but by access. Events are told as `event key`, or `event 1:key`. Lines
that begin with `=` tell the class of each event.
"""

import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

PORT = 7391
DATABASES = 2
CLASSES = "g$lshzxetdmn"


class Connection:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.file = self.socket.makefile("rb")

    def send(self, *words):
        words = [word if isinstance(word, bytes) else word.encode() for word in words]
        parts = [b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(parts))

    def receive(self):
        line = self.file.readline()
        if not line:
            raise EOFError("the server hung up")
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.receive() for _ in range(max(int(rest), 0))]
        return line[:-2]

    def call(self, *words):
        self.send(*words)
        return self.receive()


def run(client, line):
    if line.startswith("wait "):
        time.sleep(int(line[5:]) / 1000 + 0.002)
        return b""
    db, line = (1, line[2:]) if line.startswith("1:") else (0, line)
    client.call("SELECT", str(db))
    return client.call(*[word.encode("latin-1").decode("unicode_escape").encode("latin-1") for word in shlex.split(line)])


def events_of(client, listener, before, call):
    client.call("FLUSHALL")
    for line in filter(None, map(str.strip, before.split(";"))):
        reply = run(client, line)
        if reply.startswith(b"-") if isinstance(reply, bytes) else False:
            print(f"{line}: {reply.decode()}", file=sys.stderr)
    client.call("PUBLISH", "__keyspace@marks", "begin")
    run(client, call)
    client.call("PUBLISH", "__keyspace@marks", "end")
    events, has_begun = [], False
    while True:
        _, _, channel, message = listener.receive()
        if channel == b"__keyspace@marks":
            if message == b"end":
                return ", ".join(events)
            has_begun = True
        elif has_begun:
            place, key = channel.decode().removeprefix("__keyspace@").split("__:", 1)
            events.append(f"{message.decode()} {'' if place == '0' else place + ':'}{key}")


def split(line):
    return [part.strip() for part in f" {line} ".split(" | ")][:2]


def is_case(line):
    return line and line[0] not in "#="


def classes_of(client, listener, cases):
    for letter in CLASSES:
        client.call("CONFIG", "SET", "notify-keyspace-events", "K" + letter)
        events = ", ".join(events_of(client, listener, *case) for case in cases)
        names = sorted({event.split()[0] for event in events.split(", ") if event})
        yield f"= {letter} {' '.join(names)}".strip()


def rewritten(client, listener, lines):
    for line in lines:
        if is_case(line):
            case = split(line)
            yield " | ".join([*case, events_of(client, listener, *case)]).strip()
        elif not line.startswith("="):
            yield line
    yield from classes_of(client, listener, [split(line) for line in lines if is_case(line)])


def main():
    server = sys.argv[1]
    known = sorted((Path(__file__).parents[2] / "core/tests/data").glob("events*.txt"))
    paths = [Path(name) for name in sys.argv[2:]] or known
    settings = ["--save", "", "--enable-debug-command", "yes", "--notify-keyspace-events", "KEAmn"]
    command = [server, "--port", str(PORT), "--bind", "127.0.0.1", "--databases", str(DATABASES), *settings]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/tmp")
    try:
        for _ in range(100):
            try:
                client = Connection()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        client.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        listener = Connection()
        listener.call("PSUBSCRIBE", "__keyspace@*")
        for path in paths:
            client.call("CONFIG", "SET", "notify-keyspace-events", "KEAmn")
            path.write_text("\n".join(rewritten(client, listener, path.read_text().splitlines())) + "\n")
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
