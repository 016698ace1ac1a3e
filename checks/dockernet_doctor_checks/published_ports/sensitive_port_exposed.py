"""sensitive-port-exposed: a database or an admin service is open to every machine that reaches this host (article rule 9)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    UNSPECIFIED,
    Case,
    Check,
    Evidence,
    Finding,
    affected,
    listed,
    mapping_text,
    model,
    port_subject,
    remedy,
)

SERVICES = {
    1433: "Microsoft SQL Server",
    1521: "Oracle Database",
    2375: "the Docker API",
    2379: "etcd",
    3306: "MySQL",
    5432: "PostgreSQL",
    5601: "Kibana",
    5984: "CouchDB",
    6379: "Redis",
    7474: "Neo4j",
    8086: "InfluxDB",
    8500: "Consul",
    8529: "ArangoDB",
    9042: "Cassandra",
    9200: "Elasticsearch",
    11211: "memcached",
    15672: "RabbitMQ's management",
    27017: "MongoDB",
    28015: "RethinkDB",
}

_ALL = ("", *UNSPECIFIED)


def find(case: Case) -> Iterator[Finding]:
    """Such ports on 0.0.0.0 or [::], unless the way in from outside is broken anyway."""
    closed = {
        (path.host, path.target.id, path.container_port)
        for path in case.paths
        if path.question.source.kind == "outside" and path.target and path.verdict == "unreachable"
    }
    for facts, container in case.running():
        for (port, protocol), mappings in _open(container).items():
            if (facts.name, container.id, port) in closed:
                continue
            ports = list(dict.fromkeys(p.host_port for p in mappings))
            private = [
                model.PortBinding(port=port, protocol=protocol, host_ip="127.0.0.1", host_port=str(number)) for number in ports
            ]
            bound = [b for b in container.bindings if (b.port, b.protocol, b.host_ip in _ALL) == (port, protocol, True)]
            yield Finding(
                severity="warning",
                confidence="proven",
                subject=port_subject(facts, container, port, protocol),
                affects=affected(facts, container),
                summary=(
                    f"{container}:{port} ({SERVICES[port]}) is published on all addresses of {facts.here}: any machine "
                    f"that reaches it can connect to port {listed(ports, 'or')}."
                ),
                evidence=tuple(
                    Evidence(fact="published", value=mapping_text(p), source=f"inspection of {container.name}")
                    for p in mappings
                ),
                fixes=remedy.republish(facts, container, add=private, remove=bound),
            )


def _open(container: model.Container) -> dict[tuple[int, model.Protocol], list[model.PublishedPort]]:
    found: dict[tuple[int, model.Protocol], list[model.PublishedPort]] = {}
    for published in container.ports:
        if published.port in SERVICES and published.protocol == "tcp" and published.host_ip in _ALL:
            found.setdefault((published.port, published.protocol), []).append(published)
    return found


check = Check(
    cause="sensitive-port-exposed",
    title="A database or admin service is published on all addresses",
    subjects=("port",),
    needs=("engine", "host.network"),
    podman=True,
    find=find,
    exposes=True,
    phrases=("all your data is backed up", "docker bypasses ufw"),
    article=(8, 9),
)
