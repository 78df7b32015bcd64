"""What a task is: the privacy gate, the local intent scorer, the 8B classifier step, the test for several steps."""
