"""Public tickets, rebuilt: what people reported of Docker hosts, and the cause that must come first.

    list.tsv   a line for each ticket: name, thread, what is asked, expected cause; written before the first run
    hosts.py   the host of each, built by hand from its thread: containers, settings, logs, and what the network answers

All of them are constructed: settings, log lines and the bytes of servers are those of the threads, no real server ran.
"""
