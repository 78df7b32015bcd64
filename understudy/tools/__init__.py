"""What agents may use: the claude CLI, a web fetch, a sandbox for Python."""
