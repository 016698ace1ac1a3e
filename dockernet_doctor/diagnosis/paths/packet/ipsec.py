"""What ends it at the hop `filter` beside the rules: IPsec policies that block, there or back."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.diagnosis.path import PolicyBlocks
from dockernet_doctor.diagnosis.paths.packet.trail import Walk
from dockernet_doctor.netfilter.evaluate import reply_to
from dockernet_doctor.netfilter.ipsec import Direction, deciding, selector
from dockernet_doctor.netfilter.model import Journey, Packet


def policy_blocks(walk: Walk, packet: Packet, went: Journey) -> bool:
    """An IPsec policy blocks the packet, or its answer. What has to come in protected is left open: whether it does, the other
    end decides."""
    stack = walk.facts.machine
    if stack is None or not stack.ipsec or went.destiny not in ("forward", "local"):
        return False
    for direction, asked, is_answer in _asked(packet, went):
        policy = deciding(stack, direction, asked)
        if policy is None:
            continue
        text = " ".join(selector(policy))
        if policy.blocks:
            what = "the answer to it" if is_answer else "it"
            walk.trail.stop(
                "filter", PolicyBlocks(policy=policy, text=text, reply=is_answer), f"the IPsec policy {text} blocks {what}"
            )
            return True
        if policy.transforms and direction != "out" and walk.sender.outside and not is_answer:
            walk.trail.doubt("filter", f"it passes only through an IPsec tunnel (policy {text})")
    return False


def _asked(packet: Packet, went: Journey) -> Iterator[tuple[Direction, Packet, bool]]:
    """What policies are asked about, in the order of the kernel, and whether it is the answer: what comes in or is forwarded by
    the addresses that it came with (nf_nat_decode_session), what leaves by those that it has then."""
    here, sent = went.destiny == "local", went.packet
    if packet.in_interface is None:
        if here:
            return  # over lo, which no policy is for
        yield from _leaving(packet, sent, is_answer=False)
        yield "in", _back(went), True
        return
    yield "in" if here else "fwd", replace(packet, out_interface=sent.out_interface), False
    if here:
        answer = replace(_back(went), in_interface=None)
        yield from _leaving(answer, _undone(answer, packet), is_answer=True)
        return
    yield from _leaving(replace(packet, destination=sent.destination, dport=sent.dport), sent, is_answer=False)
    answer = _back(went)
    yield "fwd", answer, True
    to_client = replace(answer, destination=packet.source, dport=packet.sport, out_interface=packet.in_interface)
    yield from _leaving(to_client, _undone(to_client, packet), is_answer=True)


def _back(went: Journey) -> Packet:
    return replace(reply_to(went), mark=0)


def _undone(answer: Packet, packet: Packet) -> Packet:
    """The answer with the address back that was asked."""
    return replace(answer, source=packet.destination, sport=packet.dport)


def _leaving(before: Packet, after: Packet, *, is_answer: bool) -> Iterator[tuple[Direction, Packet, bool]]:
    """A packet is routed once with its addresses as they are, and once more where they were translated."""
    yield "out", replace(before, out_interface=after.out_interface or before.out_interface), is_answer
    if (before.source, before.destination) != (after.source, after.destination):
        yield "out", after, is_answer
