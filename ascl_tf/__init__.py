"""Adversarial supervised contrastive learning (ASCL) in TensorFlow and Keras.

Importing the package defines no flag and touches no device.
"""

__version__ = "0.1.0"
