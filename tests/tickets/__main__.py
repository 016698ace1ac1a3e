"""`python -m tests.tickets [NAME]`: the cause that comes first on each ticket's host, and what was expected.

`python -m tests.tickets corpus` writes the tickets and the healthy hosts to tests/corpus, as its module `tickets`.
"""

from __future__ import annotations

import sys

from tests.tickets.run import listed, named, to_corpus

if __name__ == "__main__":
    if sys.argv[1:] == ["corpus"]:
        to_corpus()
        sys.exit()
    right = 0
    wanted = [ticket for ticket in listed() if not sys.argv[1:] or ticket.name in sys.argv[1:]]
    for ticket in wanted:
        found = named(ticket)
        right += found[:1] == [ticket.cause]
        print(
            "ok  " if found[:1] == [ticket.cause] else "MISS", ticket.name, ticket.question, "→", ", ".join(found) or "silent"
        )
    print(f"{right} of {len(wanted)} name the expected cause first")
