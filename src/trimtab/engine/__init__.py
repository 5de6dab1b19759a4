"""Durable execution behind `core.ports.Engine`: named steps, replayed and never repeated."""
