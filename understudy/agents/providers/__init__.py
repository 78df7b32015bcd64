"""One module per kind, imported by roster.py when the configuration names it."""
