"""Drives a server whose cores are nodes of a cluster with redis-py or valkey-py.

Usage: cluster.py redis|valkey PORT CORES
PORT is that of any core. Prints "ok" at the end; an assertion that fails ends it with a traceback.
"""

import importlib
import sys


def main():
    name, port, cores = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    module = importlib.import_module(name + ".cluster")
    client_class = getattr(module, "RedisCluster", None) or module.ValkeyCluster
    db = client_class(host="127.0.0.1", port=port, decode_responses=True)
    assert len(db.get_primaries()) == cores, db.get_nodes()
    assert len({node.port for node in db.get_primaries()}) == cores
    count = 2000
    for number in range(count):
        assert db.set(f"key:{number}", number) is True
    for number in range(count):
        assert db.get(f"key:{number}") == str(number)
    with db.pipeline() as pipe:
        for number in range(count):
            pipe.incr(f"key:{number}").get(f"key:{number}")
        replies = pipe.execute()
    assert replies[0::2] == [number + 1 for number in range(count)]
    assert replies[1::2] == [str(number + 1) for number in range(count)]
    names = [f"key:{number}" for number in range(100)]
    assert db.mget_nonatomic(names) == [str(number + 1) for number in range(100)]
    assert db.mset_nonatomic({"{a}1": 1, "{b}1": 2, "{c}1": 3})
    assert db.mget("{a}1", "{a}2") == ["1", None]
    assert db.delete("{a}1", "{b}1", "{c}1") == 3
    # What a client adds up over all nodes must count every key once.
    primaries = client_class.PRIMARIES
    assert db.dbsize(target_nodes=primaries) == count
    assert len(db.keys("key:*", target_nodes=primaries)) == count
    scanned = list(db.scan_iter(match="key:*", count=50))
    assert len(scanned) == len(set(scanned)) == count, len(scanned)
    assert db.randomkey().startswith("key:")
    slot = db.keyslot("key:7")
    assert db.cluster_countkeysinslot(slot) >= 1
    assert "key:7" in db.cluster_get_keys_in_slot(slot, 1000)
    info = db.cluster_info(target_nodes=db.get_random_node())
    assert info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == cores, info
    assert db.flushall(target_nodes=primaries)
    assert db.dbsize(target_nodes=primaries) == 0
    print("ok")


if __name__ == "__main__":
    main()
