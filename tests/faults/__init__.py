"""Faults of the world around the program: peers, programs and signals that misbehave."""
