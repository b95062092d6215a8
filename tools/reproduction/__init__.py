"""Every table and figure of the paper as a graph of steps; see tools/reproduce.py."""
