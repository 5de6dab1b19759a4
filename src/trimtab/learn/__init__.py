"""The learn loop: what the facts say of models, and what to do about it. Needs the extra `learn`."""
