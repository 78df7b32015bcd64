"""llama.cpp in processes of its own: one child per loaded model, because two threads on one model abort the process."""
