"""What survives: conversations, provenance, candidates' rests and the budget ledger, in one SQLite file."""
