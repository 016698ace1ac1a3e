"""Prints and ends the process while it is imported."""

import sys

print("broken: imported")
sys.exit("broken: not on this machine")
