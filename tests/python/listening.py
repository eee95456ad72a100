"""Channels, events and cached reads through redis-py or valkey-py: listening.py MODULE PORT PROTOCOL WHAT.

Started by clients.rs. WHAT is "channels" or "caching": of valkey-py with protocol 3, since redis-py wants a Redis 7.4 for
that. Uses what applications use: threads that hear messages, handlers, patterns, connections that are lost and come back,
keyspace events, the caches of the libraries. Prints "ok" when everything was as it must be.
"""

import importlib
import queue
import sys
import threading
import time

LIMIT = 20  # seconds


def await_that(what, is_so):
    end = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.005)


def heard(listener, timeout=LIMIT):
    """The next message, none if nothing comes."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        message = listener.get_message(ignore_subscribe_messages=True, timeout=0.05)
        if message is not None:
            return message["type"], message["pattern"], message["channel"], message["data"]
    return None


def channels(db, protocol):
    listener = db.pubsub()
    listener.subscribe("news", "sport")
    assert listener.get_message(timeout=LIMIT)["type"] == "subscribe"
    assert listener.get_message(timeout=LIMIT)["data"] == 2
    listener.psubscribe("news.*")
    listener.ssubscribe("shard")
    await_that("all is subscribed to", lambda: db.pubsub_numpat() == 1 and db.pubsub_shardchannels() == ["shard"])
    assert db.publish("news", "one") == 1
    assert heard(listener) == ("message", None, "news", "one")
    assert db.publish("news.local", "two") == 1
    assert heard(listener) == ("pmessage", "news.*", "news.local", "two")
    assert db.spublish("shard", "three") == 1
    assert heard(listener)[0::3] == ("smessage", "three")
    assert sorted(db.pubsub_channels()) == ["news", "sport"]
    assert db.pubsub_channels("s*") == ["sport"]
    assert db.pubsub_numsub("news", "nobody") == [("news", 1), ("nobody", 0)]
    assert db.pubsub_shardnumsub("shard") == [("shard", 1)]
    listener.unsubscribe("sport")
    listener.punsubscribe()
    listener.sunsubscribe()
    await_that("channels are left", lambda: db.pubsub_channels() == ["news"] and db.pubsub_numpat() == 0)
    listener.ping()
    if protocol == 2:
        assert heard(listener)[0] == "pong"
    listener.close()
    await_that("nobody listens", lambda: db.pubsub_channels() == [])


def threads(db):
    """As applications have it: a thread and a handler for each, and several who publish."""
    count, senders = 500, 4
    taken = [queue.Queue() for _ in range(5)]
    listeners = []
    for number, queue_of in enumerate(taken):
        listener = db.pubsub(ignore_subscribe_messages=True)
        if number % 2:
            listener.psubscribe(**{"chat:*": queue_of.put})
        else:
            listener.subscribe(**{f"chat:{room}": queue_of.put for room in range(3)})
        listeners.append(listener.run_in_thread(sleep_time=0.01, daemon=True))
    await_that("all threads listen", lambda: db.pubsub_numsub("chat:2")[0][1] == 3 and db.pubsub_numpat() == 1)

    def send(sender):
        for number in range(count):
            assert db.publish(f"chat:{number % 3}", f"{sender}:{number}") == len(taken)

    sending = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    for thread in sending:
        thread.start()
    for thread in sending:
        thread.join()
    for queue_of in taken:
        numbers = [[] for _ in range(senders)]
        for _ in range(count * senders):
            sender, number = queue_of.get(timeout=LIMIT)["data"].split(":")
            numbers[int(sender)].append(int(number))
        assert numbers == [list(range(count))] * senders, "each sender's messages in their order"
    for thread in listeners:
        thread.stop()
    for thread in listeners:
        thread.join(LIMIT)


def comes_back(module, db):
    """A connection that is lost listens to the same again."""
    listener = db.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("a")
    listener.psubscribe("b*")
    await_that("it listens", lambda: db.pubsub_numpat() == 1)
    assert db.execute_command("CLIENT KILL TYPE pubsub") == 1

    def again():
        try:
            listener.get_message(timeout=0.05)
        except module.exceptions.ConnectionError:
            pass
        return db.pubsub_numpat() == 1 and db.pubsub_channels() == ["a"]

    await_that("it listens again", again)
    db.publish("a", "x")
    db.publish("bc", "y")
    assert [heard(listener)[3], heard(listener)[3]] == ["x", "y"]
    listener.close()


def events(db):
    db.config_set("notify-keyspace-events", "KEA")
    listener = db.pubsub(ignore_subscribe_messages=True)
    listener.psubscribe("__key*__:*")
    await_that("it listens", lambda: db.pubsub_numpat() == 1)

    def both(key, event):
        assert heard(listener) == ("pmessage", "__key*__:*", f"__keyspace@0__:{key}", event)
        assert heard(listener) == ("pmessage", "__key*__:*", f"__keyevent@0__:{event}", key)

    for number in range(20):
        key = f"key:{number}"
        db.rpush(key, "a", "b")
        both(key, "rpush")
        db.lpop(key, 2)
        both(key, "lpop")
        both(key, "del")
        db.set(key, "x", px=30)
        both(key, "set")
        both(key, "expire")
        both(key, "expired")
    # Of two keys on one core also in their order.
    db.hset("{pair}:one", "field", 1)
    both("{pair}:one", "hset")
    db.rename("{pair}:one", "{pair}:other")
    both("{pair}:one", "rename_from")
    both("{pair}:other", "rename_to")
    db.config_set("notify-keyspace-events", "")
    db.delete("{pair}:other")
    assert heard(listener, 0.2) is None
    listener.close()


def caching(module, port):
    plain = client_class(module)(host="127.0.0.1", port=port, protocol=3, decode_responses=True)
    readers = [
        client_class(module)(
            host="127.0.0.1",
            port=port,
            protocol=3,
            decode_responses=True,
            single_connection_client=True,
            cache_enabled=True,
        )
        for _ in range(4)
    ]
    names = [f"cached:{number}" for number in range(30)]
    for name in names:
        plain.set(name, "first")
        plain.hset(name + ":hash", "field", "first")
    for reader in readers:
        assert [reader.get(name) for name in names] == ["first"] * len(names)
        assert [reader.hget(name + ":hash", "field") for name in names] == ["first"] * len(names)
    # Everything is known already.
    before = plain.info("stats")["total_commands_processed"]
    for reader in readers:
        for name in names:
            assert reader.get(name) == "first" and reader.hget(name + ":hash", "field") == "first"
    asked = plain.info("stats")["total_commands_processed"] - before
    assert asked < 10, f"{asked} commands though all is cached"

    def all_see(ask, value):
        for reader in readers:
            await_that(f"a reader hears of {value}", lambda: ask(reader) == value)

    for name in names:
        plain.set(name, "second")
        all_see(lambda reader: reader.get(name), "second")
        plain.hset(name + ":hash", "field", "second")
        all_see(lambda reader: reader.hget(name + ":hash", "field"), "second")
    # Others change it, in whatever way.
    plain.delete(names[0])
    all_see(lambda reader: reader.get(names[0]), None)
    with plain.pipeline() as pipe:
        pipe.set(names[1], "third").set(names[2], "third").execute()
    all_see(lambda reader: reader.get(names[1]), "third")
    plain.eval("return redis.call('SET', KEYS[1], 'fourth')", 1, names[2])
    all_see(lambda reader: reader.get(names[2]), "fourth")
    plain.pexpire(names[3], 30)
    all_see(lambda reader: reader.get(names[3]), None)
    readers[0].set(names[4], "own")
    all_see(lambda reader: reader.get(names[4]), "own")
    plain.flushall()
    all_see(lambda reader: reader.get(names[5]), None)
    for reader in readers:
        reader.close()


def client_class(module):
    return module.Valkey if module.__name__ == "valkey" else module.Redis


def main():
    name, port, protocol, what = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    module = importlib.import_module(name)
    if what == "caching":
        caching(module, port)
    else:
        db = client_class(module)(host="127.0.0.1", port=port, protocol=protocol, decode_responses=True)
        channels(db, protocol)
        threads(db)
        comes_back(module, db)
        events(db)
        db.close()
    print("ok")


main()
