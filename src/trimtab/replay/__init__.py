"""Paired replay: requests run again on two role maps, in a world where nothing they do is real."""
