"""The journal: facts in SQLite, written once, in the transaction of the step they tell of, and read without stopping it."""
