"""Network fine, application not: what an error text shows and no packet."""
