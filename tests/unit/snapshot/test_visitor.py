"""The processes beside this one that look into the containers, and what happens where there is none."""

from __future__ import annotations

from tests.unit.scripts import printed


def test_what_the_child_reads_is_what_is_read_here() -> None:
    said = printed("""
        import os, threading
        from dockernet_doctor.snapshot.visitor import Visitor
        forked = Visitor()
        stop = threading.Event()
        threading.Thread(target=stop.wait).start()
        here = Visitor()
        print(len(forked._children), len(here._children))
        for visitor in (forked, here):
            for pid in (os.getpid(), 0x7FFFFFFF):
                visitor.visit(pid)
        theirs, ours = forked.sandboxes(), here.sandboxes()
        stop.set()
        own = [reading.sandboxes[os.getpid()] for reading in (theirs, ours)]
        print(own[0].namespace == own[1].namespace, own[0].stack.links == own[1].stack.links, theirs.missing == ours.missing)
        print(list(ours.missing))
    """)
    assert said == "2 0\nTrue True True\n[2147483647]\n"


def test_a_child_that_ends_early_is_made_up_for() -> None:
    said = printed("""
        import os, signal
        from dockernet_doctor.snapshot.visitor import Visitor
        visitor = Visitor()
        os.kill(visitor._children[1].pid, signal.SIGKILL)
        visitor.visit(os.getpid())
        print(list(visitor.sandboxes().sandboxes) == [os.getpid()])
    """)
    assert said == "True\n"


def test_a_child_that_is_not_wanted_ends() -> None:
    said = printed("""
        import os
        from pathlib import Path
        from dockernet_doctor.snapshot.visitor import Visitor
        visitor = Visitor()
        visitor.visit(os.getpid())
        visitor.dismiss()
        print(any(Path(f"/proc/{child.pid}").exists() for child in visitor._children))
    """)
    assert said == "False\n"
