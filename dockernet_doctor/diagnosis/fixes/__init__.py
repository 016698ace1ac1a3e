"""The commands that repair: containers, networks, compose files, the daemon, settings of the kernel."""
