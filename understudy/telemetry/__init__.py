"""What is told about the running program, to its log and to its watchers; never a text or a key."""
