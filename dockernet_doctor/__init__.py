"""dockernet-doctor: why can't I reach this container?"""

__version__ = "0.1.0"
