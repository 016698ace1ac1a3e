"""What is known about one host: containers, networks, links, routes, names, the daemon, the rules that Docker makes."""
