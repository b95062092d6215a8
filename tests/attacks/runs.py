"""Attacks carried out step by step, so that a test sees what happens on the way."""

import numpy as np
import tensorflow as tf

from ascl_tf.attacks.apgd import ApgdSearch


def trace_apgd(logits_fn, images, labels, start, *, num_steps, **settings):
    """Returns the losses [num_steps + 1, B] of start and iterates, and the last `ControlState`."""
    search = ApgdSearch(logits_fn, num_steps=num_steps, eot_iter=1, **settings)
    labels = tf.constant(labels)
    state = search.start(tf.constant(images), labels, labels, tf.constant(start))
    losses = [state.control.best_loss]
    advance = tf.function(search.advance, autograph=False)
    for step in range(num_steps):
        state = advance(state, tf.constant(step), tf.constant(step + 1))
        losses.append(state.control.last_loss)
    return np.stack(losses), state.control
