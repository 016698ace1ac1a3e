"""The ways of a question, hop by hop: what is dialled, how the packet goes, what stands in the way and for which reason."""
