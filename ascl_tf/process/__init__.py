"""What any program owes its user: files, locks, signals, a quiet start, failures in one line."""
