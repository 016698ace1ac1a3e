"""Names of findings, which of them causes which, and their order."""
