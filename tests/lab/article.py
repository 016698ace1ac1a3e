"""The rules of *Docker: Taming the Beast, Part V: Docker Networks* (2017), and what three engines really do.

One table, two readers: `test_article` runs every trial on every engine, docs/generate.py makes docs/gotchas.md of the claims.
So nothing stands on that page that was not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tests.lab.packages import ENGINES

VERSIONS = {"oldest": "20.10", "middle": "26.1", "newest": "28.5"}
_OLD, _MID, _NEW = ENGINES
_SINCE_26 = (_MID, _NEW)
_UP_TO_26 = (_OLD, _MID)


@dataclass(frozen=True)
class Trial:
    """A claim, and the plain commands that show it.

    shows    a regular expression that their output matches; it ends in "exit N"
    engines  those that the claim is made of
    """

    claim: str
    run: str
    shows: str
    engines: tuple[str, ...] = ENGINES
    where: Literal["host", "neighbour"] = "host"


@dataclass(frozen=True)
class Seen:
    """A claim that takes several hosts or a daemon's own start, and the lab test (FILE.NAME) that shows it."""

    claim: str
    test: str
    engines: tuple[str, ...] = (_OLD,)


@dataclass(frozen=True)
class Rule:
    number: int
    says: str
    trials: tuple[Trial, ...]
    causes: tuple[str, ...] = ()
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Section:
    title: str
    setup: str
    rules: tuple[Rule, ...]


# What trials may use. A page is asked for, since docker-proxy accepts a connection whether or not anybody answers behind it.
PRELUDE = """
page() { curl -sS -m 2 -o /dev/null "http://$1" && echo open; }
dial() { docker exec "$1" timeout 6 nc -w "${4:-2}" "$2" "$3" -e true && echo open; }
address() { docker inspect -f "{{(index .NetworkSettings.Networks \\"$2\\").IPAddress}}" "$1"; }
networks() { docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}' "$1"; }
serve() { docker run -d "$@" net-test httpd -f -p 80 -h /www; }
idle() { docker run -d "$@" net-test; }
id() { docker inspect -f '{{slice .Id 0 12}}' "$1"; }
name() { docker inspect -f '{{slice .Name 1}}' "$1"; }
"""

SECTIONS = (
    Section(
        "Why networks are needed",
        """
        docker network create app
        serve --name web; idle --name cli
        serve --name shop --net app --hostname counter; idle --name guest --net app
        """,
        (
            Rule(
                1,
                "`localhost` inside a container is that container.",
                (Trial("A port of a neighbour is refused there.", "dial cli 127.0.0.1 80", "Connection refused"),),
                ("localhost-means-container",),
            ),
            Rule(
                2,
                "The id of a neighbour, which is its hostname, does not resolve.",
                (
                    Trial(
                        "On the default bridge a container resolves its own id.",
                        "docker exec cli ping -c 1 -W 1 $(id cli)",
                        "1 packets received",
                    ),
                    Trial("There the id of a neighbour is a bad address.", "dial cli $(id web) 80", "bad address"),
                    Trial("On a custom network the short id of a neighbour does resolve.", "dial guest $(id shop) 80", "^open"),
                    Trial("So does a `--hostname` given at creation.", "dial guest counter 80", "^open"),
                ),
                ("default-bridge-no-dns", "hostname-not-a-name"),
            ),
            Rule(
                3,
                "Two containers need a shared network to talk.",
                (
                    Trial("For names: across networks a name is a bad address.", "dial cli shop 80", "bad address"),
                    Trial(
                        "On the default bridge addresses reach, names do not.",
                        "dial cli $(address web bridge) 80; dial cli web 80",
                        "(?s)^open.*bad address",
                    ),
                    Trial(
                        "An address on a network that is not shared is not reached.",
                        "dial cli $(address shop app) 80",
                        "(?s)^(?!.*open).*exit [1-9]",
                    ),
                ),
                ("no-shared-network",),
            ),
        ),
    ),
    Section(
        "Binding ports",
        """
        serve --name ordered -p 8084:80; serve --name hidden --expose 80; serve --name private -p 127.0.0.1:8081:80
        serve --name twofold -p 127.0.0.1:8085:80 -p $HOST:8086:80
        docker network create app; idle --name cli --net app
        """,
        (
            Rule(
                4,
                "`-p HOST:CONTAINER`, the host's port first.",
                (Trial("Confirmed.", "page 127.0.0.1:8084; docker port ordered", "(?s)^open.*80/tcp -> 0.0.0.0:8084"),),
                ("port-mapping-swapped", "container-port-mismatch"),
            ),
            Rule(
                5,
                "Nothing is reachable from outside unless it is published; EXPOSE or listening is not publishing.",
                (
                    Trial("An exposed port has no host port.", "docker port hidden", "^exit 0"),
                    Trial("Another machine is refused at that port of the host.", "page $HOST:80", "exit 7", where="neighbour"),
                    Trial("The host itself reaches the address of the container.", "page $(address hidden bridge)", "^open"),
                ),
                ("port-not-published",),
            ),
            Rule(
                6,
                "A host port can be bound once.",
                (
                    Trial(
                        '"Bind for … failed: port is already allocated"; the container stays `created`.',
                        "serve --name second -p 8084:80; docker inspect -f '{{.State.Status}}' second",
                        r"(?s)Bind for \S+:8084 failed: port is already allocated.*created",
                    ),
                    Trial(
                        'The message begins with "failed to set up container networking".',
                        "docker inspect -f '{{.State.Error}}' second",
                        "^failed to set up container networking: driver failed programming external connectivity",
                        (_NEW,),
                    ),
                    Trial(
                        'The message begins with "driver failed programming external connectivity".',
                        "docker inspect -f '{{.State.Error}}' second",
                        "^driver failed programming external connectivity",
                        _UP_TO_26,
                    ),
                ),
                ("host-port-in-use",),
            ),
            Rule(
                7,
                'Without a host port, `-p CONTAINER` takes a random one, "32,7xx".',
                (
                    Trial(
                        "One from 32768 up, and another one after a restart.",
                        "serve --name random -p 80 >/dev/null; a=$(docker port random); docker restart -t 0 random >/dev/null; "
                        'b=$(docker port random); echo "$a"; test "$a" != "$b" && echo another',
                        r"(?s)0\.0\.0\.0:3(2[789]|3)\d\d+.*another",
                    ),
                ),
                ("random-host-port",),
            ),
            Rule(
                8,
                "Without an address a port is published on all interfaces, 0.0.0.0.",
                (
                    Trial(
                        "On 0.0.0.0 and on [::], although the container has no IPv6.",
                        "ss -Hltn 'sport = :8084'",
                        r"(?s)(?=.*0\.0\.0\.0:8084)(?=.*\[::\]:8084)",
                    ),
                    Trial("[::1] leads to the container too.", "page '[::1]:8084'", "^open"),
                ),
                ("sensitive-port-exposed",),
            ),
            Rule(
                9,
                "That is dangerous for a database.",
                (Trial("Any other machine comes in.", "page $HOST:8084", "^open", where="neighbour"),),
                ("sensitive-port-exposed",),
            ),
            Rule(
                10,
                "`-p 127.0.0.1:…` is open on localhost and closed on the host's other addresses.",
                (
                    Trial(
                        "nmap sees it open at 127.0.0.1 and closed at the host's own address.",
                        "nmap -n -Pn -sT -p 8081 127.0.0.1 $HOST",
                        "(?s)8081/tcp open.*8081/tcp closed",
                    ),
                    Trial("Another machine is refused.", "page $HOST:8081", "exit 7", where="neighbour"),
                    Trial(
                        "A rule in `raw PREROUTING` also drops what comes in for 127.0.0.1 from elsewhere.",
                        "iptables-save -t raw",
                        r"-d 127\.0\.0\.1/32 ! -i lo .*-j DROP",
                        (_NEW,),
                    ),
                    Trial(
                        "As root nmap makes a SYN scan, which shows a published port as filtered at the host's own address; "
                        "`-sT` tells the truth.",
                        "nmap -n -Pn -sS --max-retries 1 -p 8084 $HOST; nmap -n -Pn -sT -p 8084 $HOST",
                        "(?s)8084/tcp filtered.*8084/tcp open",
                    ),
                ),
                ("port-bound-to-loopback",),
            ),
            Rule(
                11,
                "For several interfaces repeat `-p IP:HOST:CONTAINER`, with different host ports too.",
                (Trial("Confirmed.", "page 127.0.0.1:8085 && page $HOST:8086; page $HOST:8085", "(?s)^open.open.*exit 7"),),
                ("port-bound-to-other-interface",),
            ),
            Rule(
                12,
                "Ranges `-p hm-hM:cm-cM` must be of equal length.",
                (
                    Trial(
                        "The client refuses others.",
                        "idle -p 2000-2003:5100-5110",
                        "invalid ranges specified for container and host Ports: 5100-5110 and 2000-2003",
                    ),
                    Trial(
                        "New since: a range of host ports for one container port takes a free one of them.",
                        "serve --name ranged -p 5200-5205:80; docker port ranged",
                        r"80/tcp -> 0\.0\.0\.0:520[0-5]",
                    ),
                ),
                ("port-range-unequal",),
            ),
            Rule(
                13,
                "`docker port NAME` or `docker ps` shows the mapping.",
                (
                    Trial(
                        "Confirmed; `dockernet-doctor ports` also says who is let in.",
                        "docker ps --filter name=ordered --format '{{.Ports}}'",
                        r"0\.0\.0\.0:8084->80/tcp",
                    ),
                ),
            ),
            Rule(
                14,
                "Published ports cannot be changed afterwards: recreate the container.",
                (Trial("`docker update` knows no ports.", "docker update --publish 81:80 ordered", "unknown flag: --publish"),),
                ("port-not-published",),
            ),
            Rule(
                15,
                "Do not use published ports for container to container.",
                (Trial("It works, by way of the host.", "dial cli $HOST 8084", "^open"),),
                ("via-published-port",),
            ),
        ),
    ),
    Section(
        "`--link`",
        """
        docker network create app
        serve --name db -e PASSWORD=x; idle --name api --link db:database
        serve --name db2 -e PASSWORD=x --net app; idle --name api2 --net app --link db2:database
        """,
        (
            Rule(
                16,
                "A link is one-way, and its target must exist first.",
                (
                    Trial(
                        "The target must exist.",
                        "idle --name early --link nobody:x",
                        "could not get container for nobody: No such container: nobody",
                    ),
                    Trial(
                        "The linking container resolves the target, the target not the linking one.",
                        "dial api database 80; dial db api 80",
                        "(?s)^open.*bad address",
                    ),
                ),
                ("legacy-link",),
            ),
            Rule(
                17,
                "All environment variables of the target are copied: secrets leak.",
                (
                    Trial("On the default bridge.", "docker exec api env", "DATABASE_ENV_PASSWORD="),
                    Trial(
                        "On a custom network a link is a name for that one container, and copies nothing.",
                        "dial api2 database 80; docker exec api2 env; docker exec api2 cat /etc/hosts",
                        "(?s)^open(?!.*(DATABASE_|database))",
                    ),
                ),
                ("legacy-link",),
            ),
            Rule(
                18,
                "Use networks instead.",
                (
                    Trial(
                        "After the target was recreated, not even a restart of the linking container works.",
                        "docker rm -f db; idle --name other; serve --name db; docker restart -t 0 api",
                        "Cannot link to a non running container: /db AS /api/database",
                    ),
                ),
                ("stale-hosts-entry",),
            ),
        ),
    ),
    Section(
        "Custom networks and names",
        """
        docker network create app; docker network create back; docker network create row
        serve --name web --net app; idle --name cli
        for name in one two three; do idle --name $name --net row; done
        serve --name far --net back
        """,
        (
            Rule(
                19,
                "`docker network connect NETWORK CONTAINER` works on a running container, which gains an interface.",
                (Trial("Confirmed.", "docker network connect app cli; docker exec cli ip -o link", "eth1"),),
                ("no-shared-network",),
            ),
            Rule(
                20,
                "Order does not matter; a container can be disconnected at any time.",
                (
                    Trial(
                        "Confirmed.",
                        "docker network connect back web && docker network disconnect app web && "
                        "docker network connect app web && docker network disconnect back web && networks web",
                        "^app",
                    ),
                ),
            ),
            Rule(
                21,
                "Addresses are handed out in order of connection and change when a container is reconnected.",
                (
                    Trial(
                        "Reconnected in another order, two containers have swapped their addresses.",
                        "for n in one two three; do address $n row; done; docker network disconnect row one; "
                        "docker network disconnect row three; docker network connect row three; docker network connect row one"
                        "; address three row; address one row",
                        r"(?s)^(\S+\.2)\s+\S+\.3\s+(\S+\.4)\s+\1\s+\2\s",
                    ),
                ),
                ("hard-coded-container-ip", "stale-container-ip"),
            ),
            Rule(
                22,
                "Each custom network has a DNS server that knows the names of its containers.",
                (
                    Trial(
                        "It is 127.0.0.11, also for a container on the default bridge once that joins a custom network.",
                        "docker exec cli cat /etc/resolv.conf; dial cli web 80",
                        r"(?s)nameserver 127\.0\.0\.11.*open",
                    ),
                ),
                ("unknown-name",),
            ),
            Rule(
                23,
                "After a disconnect the name is unknown and the address unreachable.",
                (
                    Trial(
                        'The name is a "bad address", the address has "No route to host".',
                        "idle --name late --net app; a=$(address web app); docker network disconnect app web; "
                        "dial late web 80; dial late $a 80 5; docker network connect app web",
                        "(?s)bad address.*No route to host",
                    ),
                ),
                ("no-shared-network",),
            ),
            Rule(
                24,
                "Only names that somebody chose resolve; generated names do not.",
                (
                    Trial(
                        "True: neither with `--net` nor after `network connect`; the short id does.",
                        "i=$(serve --net app); n=$(name $i); dial cli $n 80; dial cli $(id $i) 80; docker rename $n chosen",
                        "(?s)bad address.*open",
                        (_OLD,),
                    ),
                    Trial(
                        "Not any more: generated names resolve as well. They still change at every recreation.",
                        "n=$(name $(serve --net app)); dial cli $n 80; docker rename $n chosen",
                        "^open",
                        _SINCE_26,
                    ),
                    Trial("After `docker rename` the new name resolves at once.", "dial cli chosen 80", "^open"),
                ),
                ("auto-named-container",),
            ),
            Rule(
                25,
                "A container on several networks reaches the members of each; they do not reach each other through it.",
                (
                    Trial(
                        "Through it the name is unknown and the address silent.",
                        "docker network connect back web; dial web far 80; dial cli far 80; dial cli $(address far back) 80",
                        "(?s)^open.*bad address(?!.*open)",
                    ),
                ),
                ("no-shared-network",),
            ),
            Rule(
                26,
                "IPv6 is off unless the network is created with `--ipv6`.",
                (
                    Trial("Confirmed.", "docker network inspect -f '{{.EnableIPv6}}' app", "^false"),
                    Trial(
                        "`--ipv6` without `--subnet` finds no pool.",
                        "docker network create --ipv6 six",
                        "could not find an available, non-overlapping IPv6 address pool among the defaults",
                        _UP_TO_26,
                    ),
                    Trial(
                        "`--ipv6` without `--subnet` takes a unique local subnet.",
                        "docker network create --ipv6 six; docker network inspect -f '{{json .IPAM.Config}}' six",
                        '"Subnet":"fd',
                        (_NEW,),
                    ),
                ),
                ("ipv6-not-enabled",),
            ),
            Rule(
                27,
                "A network with containers cannot be removed.",
                (
                    Trial('"network … has active endpoints".', "docker network rm row", "has active endpoints"),
                    Trial("The message names them.", "docker network rm row", "name:.?one", (_NEW,)),
                ),
                ("network-has-active-endpoints",),
            ),
        ),
    ),
    Section(
        "The three networks that come with Docker",
        """
        docker network create app
        serve --name plain; idle --name cli; serve --name web --net app
        idle --name lone --net none; idle --name hosted --net host
        """,
        (
            Rule(
                28,
                "Without `--net` a container joins `bridge`; with `--net X` it joins X only.",
                (
                    Trial(
                        "Its eth0 is that of X.",
                        "networks plain; networks web; docker exec web ip -o link",
                        "(?s)^bridge .app .*eth0(?!.*eth1)",
                    ),
                ),
                ("default-bridge-used",),
            ),
            Rule(
                29,
                "`bridge` has no DNS: only addresses work there.",
                (
                    Trial(
                        "resolv.conf is made from the host's, without 127.0.0.11.",
                        "docker exec cli cat /etc/resolv.conf",
                        r"(?s)nameserver (?!.*nameserver 127\.0\.0\.11)",
                    ),
                    Trial("A name is a bad address.", "dial cli plain 80", "bad address"),
                ),
                ("default-bridge-no-dns",),
            ),
            Rule(
                30,
                "Do not use `bridge` in production.",
                (Trial("Whatever is there reaches all that is there.", "dial cli $(address plain bridge) 80", "^open"),),
                ("default-bridge-used",),
            ),
            Rule(
                31,
                "`none` has no connectivity, and no other network can be joined until it is left.",
                (
                    Trial(
                        'Connecting it says "container cannot be connected to multiple networks with one of the networks in '
                        'private (none) mode".',
                        "docker network connect app lone",
                        r"container cannot be connected to multiple networks with one of the networks in private \(none\) mode",
                    ),
                    Trial(
                        "A container on another network cannot join `none`: the same text.",
                        "docker network connect none web",
                        r"container cannot be connected to multiple networks with one of the networks in private \(none\) mode",
                    ),
                    Trial(
                        "After `docker network disconnect none` it can be connected.",
                        "docker network disconnect none lone && docker network connect app lone && dial lone web 80",
                        "^open",
                    ),
                ),
                ("none-network",),
            ),
            Rule(
                32,
                "`host` only at creation; it is never connected or disconnected.",
                (
                    Trial(
                        'Connecting it elsewhere: "container sharing network namespace with another container or host cannot '
                        'be connected to any other network".',
                        "docker network connect app hosted",
                        "container sharing network namespace with another container or host cannot be connected to any other",
                    ),
                    Trial(
                        'Leaving it, or joining it: "container cannot be disconnected from host network or connected to host '
                        'network".',
                        "docker network disconnect host hosted; docker network connect host web",
                        "(?s)(container cannot be disconnected from host network or connected to host network.*){2}",
                        _UP_TO_26,
                    ),
                    Trial(
                        'Leaving it: "cannot disconnect container from host network - container was created in host network '
                        'mode"; joining it: "cannot connect container to host network - container must be created in host '
                        'network mode".',
                        "docker network disconnect host hosted; docker network connect host web",
                        "(?s)cannot disconnect container from host network - container was created in host network mode.*"
                        "cannot connect container to host network - container must be created in host network mode",
                        (_NEW,),
                    ),
                ),
                ("host-network-fixed",),
            ),
            Rule(
                33,
                "`host` shares the interfaces of the host.",
                (
                    Trial("Confirmed.", "docker exec hosted ip -o link", r"(?s)eth1.*docker0|docker0.*eth1"),
                    Trial(
                        '`-p` with it: "Published ports are discarded when using host network mode".',
                        "idle --name both --net host -p 8090:80; docker port both",
                        "(?s)Published ports are discarded when using host network mode(?!.*8090)",
                    ),
                ),
                ("host-network-used", "host-network-ignores-ports"),
            ),
            Rule(
                34,
                "The three cannot be removed.",
                (
                    Trial(
                        '"bridge is a pre-defined network and cannot be removed".',
                        "docker network rm bridge",
                        "bridge is a pre-defined network and cannot be removed",
                    ),
                    Trial(
                        'Nor can one of their names be created: "operation is not permitted on predefined host network".',
                        "docker network create host",
                        "operation is not permitted on predefined host network",
                    ),
                ),
                ("predefined-network",),
            ),
        ),
    ),
    Section(
        "Overlay networks, and the daemon",
        "",
        (
            Rule(
                35,
                "Overlay networks need a key-value store, `--cluster-store`.",
                (
                    Trial(
                        'Without a store and without Swarm: "This node is not a swarm manager".',
                        "docker network create -d overlay far",
                        "This node is not a swarm manager",
                    ),
                    Trial(
                        'The option is gone, Swarm took its place: "unknown flag: --cluster-store".',
                        "timeout 10 dockerd --cluster-store etcd://127.0.0.1:2379",
                        "unknown flag: --cluster-store",
                        _SINCE_26,
                    ),
                ),
                ("cluster-store-missing", "cluster-options-removed", "swarm-inactive"),
            ),
            Rule(
                36,
                '`--cluster-advertise IP-or-INTERFACE:2376`, and it is "advertise", not "advertize".',
                (
                    Trial(
                        "Misspelt it is an unknown flag.",
                        "timeout 10 dockerd --cluster-advertize eth1:2376",
                        "unknown flag: --cluster-advertize",
                    ),
                ),
                ("cluster-option-misspelt", "cluster-store-missing"),
            ),
            Rule(
                37,
                "One node of the store only is dangerous.",
                (),
                seen=(
                    Seen(
                        "With one, networks are listed on both hosts all the same: it is warned of.",
                        "test_overlay.test_zookeeper_lists_an_overlay_and_has_one_node",
                    ),
                ),
            ),
            Rule(
                38,
                "Overlay networks are not listed: look at the store, its address, port and firewall, and whether it runs.",
                (),
                seen=(
                    Seen(
                        "A wrong protocol, port or kind of store: no overlay network can be made until it is right.",
                        "test_overlay.test_store_faults",
                    ),
                ),
            ),
            Rule(
                39,
                "Listed, but containers do not reach each other: look at what is advertised, interface, port and firewall.",
                (),
                seen=(
                    Seen(
                        "Nothing advertised, loopback, a foreign address or that of `docker0`: listed, and nothing crosses.",
                        "test_overlay.test_advertise_faults",
                    ),
                    Seen(
                        "So with 4789/udp closed between the hosts.",
                        "test_overlay.test_blocked_ports_of_the_store_s_overlay",
                    ),
                    Seen(
                        "With two hosts of one hostname the daemon's log tells of the conflict.",
                        "test_overlay.test_equal_hostnames",
                    ),
                    Seen(
                        "Of Swarm the same holds: names resolve, and with 4789/udp dropped on one host nothing crosses.",
                        "test_fleet.test_a_swarm_read_together",
                        (_NEW,),
                    ),
                ),
            ),
            Rule(
                41,
                "Containers of other hosts are listed as `ep-…`, in 10.x.y.z.",
                (),
                seen=(
                    Seen("They are, and answer to their names.", "test_overlay.test_the_article_s_story"),
                    Seen("When their host dies they stay, and their names are taken.", "test_overlay.test_stale_endpoint"),
                ),
            ),
            Rule(
                42,
                "End the unit file with a newline.",
                (),
                seen=(Seen("A file of the daemon that does not is warned of.", "test_daemon.test_daemon", (_NEW,)),),
            ),
            Rule(
                43,
                "Read the daemon's log.",
                (),
                ("daemon-not-running",),
                seen=(
                    Seen(
                        "Its last words say why a daemon ended, on the host and from its bundle.",
                        "test_daemon.test_bundle_of_a_dead_daemon_says_why",
                        (_MID,),
                    ),
                ),
            ),
            Rule(
                44,
                "docker-machine points the client at another daemon, and containers vanish.",
                (
                    Trial(
                        "`DOCKER_HOST` does, whoever set it.",
                        "DOCKER_HOST=tcp://127.0.0.1:1 docker ps",
                        "tcp://127.0.0.1:1",
                    ),
                ),
                ("wrong-daemon",),
            ),
            Rule(
                45,
                "Its own example advertises 127.0.0.1.",
                (),
                seen=(Seen("With two hosts that is a fault: nothing crosses.", "test_overlay.test_advertise_faults"),),
            ),
        ),
    ),
)


def page(taught: Mapping[int, Iterable[str]]) -> str:
    """docs/gotchas.md; `taught` are the causes whose checks name a rule, beside those of the table."""
    lines = [
        "# Gotchas: what the engines really do",
        "",
        "The rules of *Docker: Taming the Beast, Part V: Docker Networks* (nschoe, 2017), from which this tool grew, each",
        f"tried on Docker {', '.join(VERSIONS.values())}. Every sentence below a rule is a trial of",
        "`tests/lab/article.py`, which the project's tests run on all three engines, or is shown by the test in `tests/lab`",
        "that is named behind it; where an engine is named, it holds for that one. This page is generated.",
        "",
    ]
    for section in SECTIONS:
        lines += [f"## {section.title}", ""]
        for rule in section.rules:
            lines += [f"**{rule.number}. {rule.says}**", ""]
            lines += [f"- {_engines(trial)}{trial.claim}" for trial in rule.trials]
            lines += [f"- {_engines(seen)}{seen.claim} (`{seen.test}`)" for seen in rule.seen]
            causes = sorted({*rule.causes, *taught.get(rule.number, ())})
            links = [f"[{cause}](causes/{cause}.md)" for cause in causes]
            lines += ["", f"Detected as {', '.join(links)}.", ""] if links else [""]
    return "\n".join(lines).rstrip() + "\n"


def _engines(trial: Trial | Seen) -> str:
    return "" if trial.engines == ENGINES else f"{', '.join(VERSIONS[engine] for engine in trial.engines)}: "
