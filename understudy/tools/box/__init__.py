"""What runs inside the sandbox's own process. Standard library only: that process has no site-packages."""
