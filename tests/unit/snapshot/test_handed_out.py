"""What services hand out, by the settings of the usual images."""

from __future__ import annotations

import pytest

from dockernet_doctor.snapshot.handed_out import of_settings

MEMBERS = "mongosh --eval \"rs.initiate({_id:'rs0', members:[{_id:0, host:'mongo1:27017'},{_id:1, host: 'mongo2'}]})\""


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ("KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092", [("localhost", 9092, None)]),
        ("ADVERTISED_LISTENERS=127.0.0.1:9092", [("127.0.0.1", 9092, None)]),
        ("KAFKA_ADVERTISED_HOST_NAME=kafka", [("kafka", None, None)]),
        ("REDIS_CLUSTER_ANNOUNCE_IP=10.0.0.5", [("10.0.0.5", None, None)]),
        ("REDIS_ANNOUNCE_HOSTNAME=node1", [("node1", None, None)]),
        ("network.publish_host=es01", [("es01", None, None)]),
        ("PASV_ADDRESS=172.17.0.2", [("172.17.0.2", None, None)]),
        (
            "ETCD_ADVERTISE_CLIENT_URLS=http://etcd1:2379,http://10.0.0.5:2379",
            [("etcd1", 2379, 2379), ("10.0.0.5", 2379, 2379)],
        ),
        ("ETCD_INITIAL_ADVERTISE_PEER_URLS=http://etcd1:2380", []),
        ("KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://:9092", []),
        ("ANNOUNCEMENT=we advertise:80", []),
        ("REDIS_ANNOUNCE_IP=0.0.0.0", []),
    ],
)
def test_a_variable(env: str, found: list[tuple[str, int | None, int | None]]) -> None:
    assert [(h.host, h.port, h.of) for h in of_settings(env=(env,))] == found


def test_listeners_by_their_names() -> None:
    env = (
        "KAFKA_CFG_LISTENERS=INSIDE://:9092,OUTSIDE://0.0.0.0:29092",
        "KAFKA_CFG_ADVERTISED_LISTENERS=INSIDE://kafka:9092,OUTSIDE://localhost:19092",
    )
    assert [(h.host, h.port, h.of) for h in of_settings(env=env)] == [("kafka", 9092, 9092), ("localhost", 19092, 29092)]


def test_options_and_scripts() -> None:
    redpanda = (
        "redpanda",
        "start",
        "--kafka-addr=internal://0.0.0.0:9092,external://0.0.0.0:19092",
        "--advertise-kafka-addr=internal://redpanda:9092,external://localhost:19092",
    )
    assert [(h.host, h.of) for h in of_settings(command=redpanda)] == [("redpanda", 9092), ("localhost", 19092)]
    node = of_settings(command=("sh", "-c", "redis-server --cluster-enabled yes --cluster-announce-ip 10.0.0.5"))
    assert [(h.where, h.key, h.host) for h in node] == [("command", "--cluster-announce-ip", "10.0.0.5")]
    assert [(h.host, h.port) for h in of_settings(health_test=("CMD-SHELL", MEMBERS))] == [("mongo1", 27017), ("mongo2", 27017)]


def test_the_port_that_goes_with_a_host() -> None:
    assert of_settings(env=("REDIS_ANNOUNCE_IP=10.0.0.5", "REDIS_ANNOUNCE_PORT=7001"))[0].port == 7001
    assert of_settings(env=("PASV_ADDRESS=10.0.0.5", "PASV_MIN_PORT=21100"))[0].port is None
