"""How findings are named, which is the cause of which, and in which order they are told."""
