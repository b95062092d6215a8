"""Training on several machines (MultiWorkerMirroredStrategy)."""
