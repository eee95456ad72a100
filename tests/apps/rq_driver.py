"""rq as its users drive it: jobs with results, retries and dependencies, and a worker that ends when all is done.

rq_driver.py HOST PORT JOBS [LIMIT], the limit in seconds for everything
"""

import signal
import sys
import time

import rq_jobs
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.exceptions import DuplicateJobError


class Worker(SimpleWorker):
    """A worker that does not listen for commands of others: that is pub/sub."""

    def subscribe(self):
        pass


def work_until_empty(queue):
    Worker([queue], connection=queue.connection).work(burst=True, logging_level="CRITICAL")


def main():
    host, port, jobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    signal.alarm(int(sys.argv[4]) if len(sys.argv) > 4 else 600)
    connection = Redis(host, port)
    queue = Queue(connection=connection)

    start = time.monotonic()
    waiting = [queue.enqueue(rq_jobs.square, number) for number in range(jobs // 2)]
    several = [Queue.prepare_data(rq_jobs.square, (number,)) for number in range(jobs // 2, jobs)]
    waiting += queue.enqueue_many(several)
    work_until_empty(queue)
    seconds = time.monotonic() - start

    for number, job in enumerate(waiting):
        assert job.is_finished and job.return_value() == number * number, number
    runs = connection.hgetall("rq-runs")
    assert len(runs) == jobs and set(runs.values()) == {b"1"}, "a job ran twice, or never"

    # What depends on others waits for them; what fails is tried again; one name is one job.
    parts = [queue.enqueue(rq_jobs.square, 10_000_000 + number) for number in range(3)]
    whole = queue.enqueue(rq_jobs.add, 1, 2, 3, depends_on=parts)
    assert whole.get_status() == "deferred"
    retried = queue.enqueue(rq_jobs.stubborn, "rq-attempts", retry=Retry(max=3))
    failing = queue.enqueue(rq_jobs.add, "x")
    queue.enqueue(rq_jobs.add, 4, job_id="one", unique=True)
    try:
        queue.enqueue(rq_jobs.add, 5, job_id="one", unique=True)
    except DuplicateJobError:
        pass
    else:
        raise SystemExit("two jobs of one name")
    work_until_empty(queue)
    assert (whole.return_value(), retried.return_value()) == (6, 3)
    assert failing.is_failed and queue.fetch_job("one").return_value() == 4
    assert len(queue) == 0 and len(queue.failed_job_registry) == 1, "something is left over"
    print(f"rq: {jobs} jobs in {seconds:.3f} s")


if __name__ == "__main__":
    main()
