"""Over the wire: whose key it is, what is written down of its use, and tasks handed down by other models."""
