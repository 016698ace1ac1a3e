"""Checks of Acme, who had nothing but the page docs/writing-a-check.md."""
