"""What the sender and the worker of celery_driver.py share: the application, its settings and its tasks."""

import os

from celery import Celery
from celery.backends.base import SyncBackendMixin
from celery.backends.redis import RedisBackend
from redis import Redis

HOST, PORT = os.environ["RINGKEY_APP_SERVER"].rsplit(":", 1)
URL = f"redis://{HOST}:{PORT}"


class PolledBackend(SyncBackendMixin, RedisBackend):
    """Celery's own store of results, asked for them instead of listening: it does without pub/sub."""

    def on_task_call(self, producer, task_id):
        pass

    def forget(self, task_id):
        self._forget(task_id)

    def _set(self, key, value, expires=None):
        with self.client.pipeline() as pipe:
            pipe.setex(key, expires or self.expires, value)
            pipe.execute()


app = Celery("apps", broker=f"{URL}/0", backend=f"celery_app:PolledBackend+{URL}/0")
app.conf.update(
    broker_connection_retry_on_startup=True,
    # Remote control is told by pub/sub.
    worker_enable_remote_control=False,
    task_acks_late=True,
    worker_prefetch_multiplier=16,
    # What waits for its time goes back to the queue if the worker is gone for so long.
    broker_transport_options={"visibility_timeout": 3600},
)
done = Redis(HOST, int(PORT))


@app.task
def multiply(a, b):
    """Counts how often it ran for each `a`."""
    done.hincrby("celery-runs", a, 1)
    return a * b


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def stubborn(self, key):
    """Fails twice, then is content."""
    attempts = done.incr(key)
    if attempts < 3:
        raise self.retry(countdown=0)
    return attempts
