"""What the three programs share: their flags, and the inputs that flags name."""
