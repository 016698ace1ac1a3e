"""The two findings without a cause of their own."""
