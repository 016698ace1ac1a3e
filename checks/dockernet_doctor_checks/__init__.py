"""The built-in checks of dockernet-doctor: one module a cause, its page beside it, in the folder of its family."""
