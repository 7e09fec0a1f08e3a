"""A run as recipes see it: strict settings, the run directory, and what a person sees in the terminal."""
