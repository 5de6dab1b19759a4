"""A model simulator: answers the Anthropic Messages API on loopback from an answer book, with measured flaws.

It is no model: everything it sends says `simulated`.
"""

from trimtab.models.simulator.book import AnswerBook
from trimtab.models.simulator.profile import Profile, profile_names
from trimtab.models.simulator.server import Simulator

__all__ = ["AnswerBook", "Profile", "Simulator", "profile_names"]
