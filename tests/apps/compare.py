"""Runs the applications against servers and says how long each took; scripts/apps starts it.

compare.py [--small] [--rounds N] [--only bullmq,celery,ioredis,rq] [--cores 4,2] [HOST:PORT]

Given a server, it runs them there. Else it starts a Valkey and ours with so many cores in turn, afresh for each application
and round. A ratio is that of one round, and the middle one of all rounds is shown.
"""

import argparse
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
APPS = pathlib.Path(os.environ.get("RINGKEY_APPS", TOP / ".apps"))

# Jobs of each, and with --small.
JOBS = {"bullmq": (20_000, 500), "celery": (5_000, 150), "ioredis": (200_000, 20_000), "rq": (2_000, 200)}
NODE = ("bullmq", "ioredis")
START_LIMIT = 20  # seconds


def drive(name, host, port, jobs):
    """Runs the application and gives its seconds, or nothing if it failed."""
    if name in NODE:
        words = ["node", HERE / f"{name}_driver.cjs"]
    else:
        words = [APPS / "venv/bin/python", HERE / f"{name}_driver.py"]
    environment = dict(os.environ, NODE_PATH=str(APPS / "node_modules"), PYTHONDONTWRITEBYTECODE="1")
    with tempfile.TemporaryFile("w+") as errors:
        found = subprocess.run([*words, host, str(port), str(jobs)], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        said = re.search(r" in ([0-9.]+) s$", found.stdout.strip())
        if found.returncode == 0 and said:
            return float(said[1])
        errors.seek(0)
        print(f"{name} failed ({found.returncode}):\n{found.stdout}{errors.read()[-4000:]}", file=sys.stderr)
        return None


class Server:
    """A server with an empty folder of its own."""

    def __init__(self, words):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = tempfile.TemporaryDirectory()
        words = [*words, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(words, cwd=self.folder.name, stdout=subprocess.DEVNULL)
        end = time.monotonic() + START_LIMIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    self.stop()
                    raise SystemExit(f"did not start: {words}") from None
                time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def servers(cores):
    peers = os.environ.get("RINGKEY_PEERS", TOP / ".peers/bin")
    ours = os.environ.get("RINGKEY_SERVER", TOP / "target/release/ringkey-server")
    found = {"valkey": [pathlib.Path(peers) / "valkey-server"]}
    for count in cores:
        found[f"ringkey-{count}"] = [ours, "--cores", count]
    return found


def main():
    arguments = argparse.ArgumentParser(prog="scripts/apps")
    arguments.add_argument("--small", action="store_true", help="a few hundred jobs each")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", default=",".join(JOBS), help="names with commas between")
    arguments.add_argument("--cores", default="4,2", help="how many cores ours has, in turn")
    arguments.add_argument("server", nargs="?", metavar="HOST:PORT")
    given = arguments.parse_args()
    names = given.only.split(",")
    jobs = {name: JOBS[name][given.small] for name in names}

    if given.server:
        host, port = given.server.rsplit(":", 1)
        taken = {name: drive(name, host, port, jobs[name]) for name in names}
        for name, seconds in taken.items():
            print(f"{name}: {jobs[name]} jobs: " + (f"{seconds:.2f} s" if seconds else "failed"))
        sys.exit(None in taken.values())

    all_servers = servers(filter(None, given.cores.split(",")))
    taken = {(name, server): [] for name in names for server in all_servers}
    for round_number in range(given.rounds):
        for name in names:
            # Who begins changes.
            order = list(all_servers)
            order = order[round_number % len(order) :] + order[: round_number % len(order)]
            for server in order:
                running = Server(all_servers[server])
                seconds = drive(name, "127.0.0.1", running.port, jobs[name])
                running.stop()
                taken[name, server].append(seconds)
                print(f"round {round_number + 1}: {name} on {server}: {seconds} s", file=sys.stderr)

    print(f"| application | jobs | {' | '.join(f'{server} s | ratio' for server in all_servers)} |")
    print("| --- | ---: |" + " ---: | ---: |" * len(all_servers))
    for name in names:
        cells = []
        for server in all_servers:
            both = zip(taken[name, server], taken[name, "valkey"])
            pairs = [(ours, theirs) for ours, theirs in both if ours and theirs]
            if not pairs:
                cells += ["failed", ""]
                continue
            ratios = sorted(ours / theirs for ours, theirs in pairs)
            middle = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} - {ratios[-1]:.2f})"
            cells += [f"{statistics.median(ours for ours, _ in pairs):.2f}", middle]
        print(f"| {name} | {jobs[name]} | {' | '.join(cells)} |")
    sys.exit(any(None in seconds for seconds in taken.values()))


if __name__ == "__main__":
    main()
