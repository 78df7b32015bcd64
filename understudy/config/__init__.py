"""Configuration: its shape, where it is found, where keys come from, and what is found without a file."""
