"""Nouns, ports and errors: no I/O, no policy, nothing that runs by itself."""
