"""What tools/chaos.py is made of."""
