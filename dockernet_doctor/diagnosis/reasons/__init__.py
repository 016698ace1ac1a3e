"""Why a path is broken where it is: one typed reason for each obstacle, decided here and asked for by the checks."""
