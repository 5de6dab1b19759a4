"""The watch where store, policy and the world meet: what is read, what is told, and over which channels."""
