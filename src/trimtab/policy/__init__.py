"""The policy: the file that says which model plays which role, read strictly and resolved with reasons. Never written."""
