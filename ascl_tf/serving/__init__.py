"""From a trained classifier to files that serve, and from those to the classes of pictures."""
