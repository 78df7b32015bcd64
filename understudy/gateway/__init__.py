"""Over the wire: whose key it is, and what is written down of its use."""
