"""Drives a server through redis-py or valkey-py: client.py MODULE PORT PROTOCOL.

Started by clients.rs. Uses what applications use: pool, pipelines, iterators, typed replies, and the
handshake that the library does by itself. Prints "ok" when everything was as it must be.
"""

import importlib
import sys
import threading


def strings(db):
    assert db.ping() is True
    assert db.set("greeting", "hello") is True
    assert db.get("greeting") == "hello"
    assert db.get("missing") is None
    assert db.set("greeting", "again", nx=True) is None
    assert db.set("greeting", "again", xx=True, get=True) == "hello"
    assert db.set("greeting", "more", ex=100) is True
    assert 98 <= db.ttl("greeting") <= 100
    assert db.set("greeting", "kept", keepttl=True) is True
    assert db.ttl("greeting") > 0
    assert db.getex("greeting", persist=True) == "kept"
    assert db.ttl("greeting") == -1
    assert db.append("greeting", "!") == 5
    assert db.getrange("greeting", 0, 2) == "kep"
    assert db.setrange("greeting", 0, "K") == 5
    assert db.strlen("greeting") == 5
    assert db.getdel("greeting") == "Kept!"
    assert db.incr("number") == 1
    assert db.incrby("number", 41) == 42
    assert db.decr("number", 2) == 40
    assert float(db.incrbyfloat("number", 0.5)) == 40.5
    assert db.mset({"a": 1, "b": 2, "c": 3}) is True
    assert db.mget("a", "b", "missing", "c") == ["1", "2", None, "3"]
    assert db.msetnx({"c": 4, "d": 4}) is False
    assert db.msetnx({"e": 5, "f": 6}) is True
    db.mset({"lcs1": "ohmytext", "lcs2": "mynewtext"})
    assert db.lcs("lcs1", "lcs2") == "mytext"


def binary(make):
    db = make(decode_responses=False)
    blob = bytes(range(256)) * 1000
    assert db.set(b"\x00\xff\r\n", blob) is True
    assert db.get(b"\x00\xff\r\n") == blob
    assert db.delete(b"\x00\xff\r\n") == 1
    db.close()


def keys(db):
    db.flushdb()
    for number in range(500):
        db.set(f"key:{number}", number)
    assert db.dbsize() == 500
    assert sorted(db.scan_iter(match="key:4?", count=7)) == [f"key:{n}" for n in range(40, 50)]
    assert len(set(db.scan_iter())) == 500
    assert len(set(db.scan_iter(_type="string"))) == 500
    assert len(db.keys("key:*")) == 500
    assert db.randomkey().startswith("key:")
    assert db.exists("key:1", "key:2", "missing") == 2
    assert db.touch("key:1", "missing") == 1
    assert db.unlink("key:1", "key:2") == 2
    assert db.type("key:3") == "string"
    assert db.rename("key:3", "renamed") is True
    assert db.renamenx("renamed", "key:4") is False
    assert db.copy("renamed", "copied") is True
    assert db.expire("copied", 100) is True
    assert db.expire("copied", 50, gt=True) is False
    assert db.persist("copied") is True
    assert db.pexpireat("copied", 33177117420000) is True
    assert db.expiretime("copied") == 33177117420
    assert db.object("encoding", "key:5") == "int"
    assert db.move("copied", 5) is True
    assert db.swapdb(5, 6) is True


def pipelines(db):
    with db.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"p{number}", number)
            pipe.get(f"p{number}")
        replies = pipe.execute()
    assert replies[0::2] == [True] * 1000
    assert replies[1::2] == [str(number) for number in range(1000)]
    with db.pipeline(transaction=False) as pipe:
        pipe.set("text", "abc").incr("text").get("text")
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True and replies[2] == "abc"
    assert "not an integer" in str(replies[1])


def errors(module, db):
    db.set("text", "abc")
    try:
        db.incr("text")
        raise AssertionError("no error")
    except module.exceptions.ResponseError as error:
        assert str(error) == "value is not an integer or out of range", error
    try:
        db.execute_command("NOSUCHCOMMAND", "a")
        raise AssertionError("no error")
    except module.exceptions.ResponseError as error:
        assert "unknown command" in str(error), error


def connection(db):
    assert db.client_setname("tester") is True
    assert db.client_getname() == "tester"
    number = db.client_id()
    mine = [client for client in db.client_list() if int(client["id"]) == number]
    assert len(mine) == 1 and mine[0]["name"] == "tester", mine
    assert mine[0]["lib-name"], mine
    assert db.client_info()["name"] == "tester"
    assert db.echo("text") == "text"


def server(db):
    assert db.config_get("maxclients")["maxclients"] == "10000"
    assert db.config_set("timeout", 0) is True
    assert set(db.config_get("maxmemory", "timeout")) == {"maxmemory", "timeout"}
    assert db.config_resetstat() is True
    info = db.info()
    assert info["redis_version"] and info["used_memory"] > 0 and info["connected_clients"] >= 1
    assert info["db0"]["keys"] == db.dbsize()
    assert db.info("server")["tcp_port"] > 0 and "db0" not in db.info("server")
    assert db.command_count() > 50
    assert db.command()["get"]["arity"] == 2
    assert db.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]
    seconds, microseconds = db.time()
    assert seconds > 1_700_000_000 and 0 <= microseconds < 1_000_000
    assert db.flushall(asynchronous=True) is True
    assert db.dbsize() == 0


def threads(module, port, protocol):
    """One pool under many threads, as a web application has it."""
    pool = module.ConnectionPool(
        host="127.0.0.1", port=port, protocol=protocol, decode_responses=True, max_connections=8)
    failures = []

    def work():
        try:
            for _ in range(100):
                connection = client_class(module)(connection_pool=pool)
                connection.incr("shared")
                connection.set("mine", "x")
        except Exception as error:  # reported by the main thread
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures
    assert client_class(module)(connection_pool=pool).get("shared") == "800"
    pool.disconnect()


def client_class(module):
    return module.Redis if hasattr(module, "Redis") else module.Valkey


def main():
    name, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    module = importlib.import_module(name)

    def make(decode_responses=True, **options):
        return client_class(module)(
            host="127.0.0.1", port=port, protocol=protocol, decode_responses=decode_responses,
            socket_timeout=20, **options)

    db = make()
    db.flushall()
    strings(db)
    binary(make)
    keys(db)
    pipelines(db)
    errors(module, db)
    connection(make(single_connection_client=True))
    threads(module, port, protocol)
    other = make(db=7, client_name="seven")
    assert other.set("k", "v") and db.get("k") is None and other.client_getname() == "seven"
    server(db)
    print("ok")


if __name__ == "__main__":
    main()
