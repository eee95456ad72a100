"""Celery as its users drive it: a worker of two processes, tasks with results, retries and chords.

celery_driver.py HOST PORT TASKS [LIMIT], the limit in seconds for everything
"""

import os
import signal
import subprocess
import sys
import time

# Between two looks for a result, in seconds.
INTERVAL = 0.01


def work(tasks):
    from celery import chord
    from celery_app import done, multiply, stubborn, total

    def value(result):
        return result.get(interval=INTERVAL)

    # The worker is up when it has done something.
    assert value(multiply.delay(-1, 2)) == -2

    start = time.monotonic()
    results = [multiply.delay(number, 3) for number in range(tasks)]
    for number, result in enumerate(results):
        assert value(result) == number * 3, number
    seconds = time.monotonic() - start

    runs = done.hgetall("celery-runs")
    assert len(runs) == tasks + 1 and set(runs.values()) == {b"1"}, "a task ran twice, or never"

    retried = [stubborn.delay(f"celery-attempts-{number}") for number in range(3)]
    parts = [[10_000_000 + number * 10 + part for part in range(10)] for number in range(5)]
    chords = [chord(multiply.s(part, 1) for part in numbers)(total.s()) for numbers in parts]
    late = multiply.apply_async((20_000_000, 1), countdown=0.3)
    assert [value(result) for result in retried] == [3, 3, 3]
    assert [value(result) for result in chords] == [sum(numbers) for numbers in parts]
    assert value(late) == 20_000_000
    assert done.llen("celery") == 0 and done.hlen("unacked") == 0, "something is left over"
    return seconds


def main():
    host, port, tasks = sys.argv[1:4]
    os.environ["RINGKEY_APP_SERVER"] = f"{host}:{port}"
    folder = os.path.dirname(os.path.abspath(__file__))
    # What it says of the world is said by pub/sub.
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    words = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "prefork", "--concurrency", "2"]
    # It has processes of its own, which end with it.
    worker = subprocess.Popen(
        words + quiet, cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )

    def out_of_time(*_):
        raise SystemExit("celery: not done in time")

    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(int(sys.argv[4]) if len(sys.argv) > 4 else 600)
    try:
        seconds = work(int(tasks))
        worker.terminate()
        assert worker.wait() == 0, "the worker did not end well"
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
    print(f"celery: {tasks} tasks in {seconds:.3f} s")


if __name__ == "__main__":
    main()
