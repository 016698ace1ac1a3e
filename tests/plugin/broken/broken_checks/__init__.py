"""Checks that do everything a check must not do."""
