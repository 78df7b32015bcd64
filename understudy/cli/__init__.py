"""The terminal: commands and REPL."""
