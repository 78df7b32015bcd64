"""understudy inside nanobot, and nanobot's configuration for an understudy beside it."""
