"""Public tickets, rebuilt: what people reported of Docker hosts, and the cause that must come first.

    list.tsv   a line for each ticket: name, thread, what is asked, expected cause; written before the first run
    texts.tsv  error texts of such threads, each with the causes of which `explain` must name one among its first five; `daemon`
               for the daemon's own way out, `-` for what is no matter of networks. Written before any phrase; halves `a`
               and `c` are for mending phrases, `b`, `d` and `e` for scoring them
    hosts.py, further.py, databases.py
               the host of each, built by hand from its thread: containers, settings, logs, and what the network answers
    lab.tsv    further ones, with the symptom; their hosts are real ones, in tests/lab/tickets.py

Those of list.tsv are constructed: settings, log lines and the bytes of servers are those of the threads, no real server ran.
"""
