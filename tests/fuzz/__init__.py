"""A fuzzer, guided by coverage: every parser and evaluator, the whole program, and what stands at the other end of a socket.

`targets` is the table of what is tried. `make fuzz` tries all of it, `make fuzz TARGET="nft unit" FUZZ_SECONDS=600` some.
An input is a crash where it raises what is not documented, or costs more than `LIMIT_S` seconds of computing. Each is kept
under regressions/TARGET/ once it is mended, and replayed by `make test`; that needs no fuzzer.
"""
