"""Hosts: what they are set up to do, and what they do."""
