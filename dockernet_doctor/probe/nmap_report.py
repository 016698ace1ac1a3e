"""What nmap's XML says about ports: read by python-nmap where it is installed, else by the standard library alone.

python-nmap's licence (GPL-3) keeps it out of the single file, the image and the Debian package. What it does not read, the
ports that nmap only sums up ("Not shown: 40 closed ports"), is read here in either case.
"""

from __future__ import annotations

from importlib.util import find_spec
from xml.etree import ElementTree as ET
from xml.parsers import expat

from dockernet_doctor.decoding import as_text
from dockernet_doctor.probe.model import ScannedPort


class ReportError(ValueError):
    """No report of nmap; str() is why, in one line."""


def ports(printed: bytes, asked: str) -> list[ScannedPort]:
    """The TCP ports of a report, in order. `asked` is what `-p` said: before 7.90, the sums name no ports. ReportError."""
    try:
        report = _tree(printed)
        states = _by_library(printed) if find_spec("nmap") else _by_hand(report)
        states = {**_summed_up(report, asked), **states}
    except expat.ExpatError:  # nmap says in plain text why it does not scan
        raise ReportError(" ".join(as_text(printed).split()) or "it printed nothing") from None
    except ValueError as error:
        raise ReportError(str(error)) from None
    return [ScannedPort(port=port, protocol="tcp", state=state) for port, state in sorted(states.items())]


def expand(ports: str) -> list[int]:
    """The numbers of "80,443,8000-8002". Raises ValueError."""
    numbers: list[int] = []
    for part in filter(None, ports.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _tree(printed: bytes) -> ET.Element:
    """Entities are refused: nmap declares none, and they can make much out of little, or name files."""
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.EntityDeclHandler = _refuse
    parser.Parse(printed, True)
    report = builder.close()
    if report.find("runstats/finished") is None:
        raise ValueError("its report is not whole")
    return report


def _refuse(name: str, *_: object) -> None:
    raise ValueError(f"it declares the entity {name}")


def _by_library(printed: bytes) -> dict[int, str]:
    import nmap

    # Its constructor runs `nmap -V`, and waits for that without end.
    scanner = nmap.PortScanner.__new__(nmap.PortScanner)
    hosts = scanner.analyse_nmap_xml_scan(as_text(printed)).get("scan", {})
    return {port: entry["state"] for host in hosts.values() for port, entry in host.get("tcp", {}).items()}


def _by_hand(report: ET.Element) -> dict[int, str]:
    listed = report.iterfind("host/ports/port[@protocol='tcp']")
    return {int(port.get("portid", "")): state.get("state", "") for port in listed for state in port.iterfind("state")}


def _summed_up(report: ET.Element, asked: str) -> dict[int, str]:
    extras = report.findall("host/ports/extraports")
    found: dict[int, str] = {}
    for extra in extras:
        ranges = ",".join(reason.get("ports", "") for reason in extra.findall("extrareasons"))
        if not ranges.strip(",") and len(extras) == 1:
            ranges = asked
        found |= dict.fromkeys(expand(ranges), extra.get("state", "filtered"))
    return found
