"""Several classifiers as one: the mean of their probabilities decides.

Not to be confused with ensembles.py, which is about ensembles of attacks.
"""

import hashlib
import math

import tensorflow as tf

from ascl_tf.attacks.logits import as_logits_function
from ascl_tf.config.paths import split_list
from ascl_tf.evaluation.records import model_sha256


def member_paths(models):
    """Returns the paths in `models`, separated by commas; a path that exists stays whole.

    Args:
        models: text such as "runs/a/export,runs/b/export".
    """
    return split_list(models)


def mean_probability_logits(classifiers):
    """Returns a function images -> log of the mean probability of the classifiers.

    With p_m the softmax of classifier m's logits, in nats:

        logits(x) = log( 1/M sum_m p_m(x) )

    Its softmax is the mean probability, so that the cross-entropy that attacks raise is
    that of the ensemble. Chen et al. 2020, arXiv:2003.12862, decide by the same mean.

    Args:
        classifiers: one or more of what `ascl_tf.attacks.logits.as_logits_function` takes.

    Returns:
        Function images [B, H, W, C] -> float32 [B, num_classes].

    Raises:
        ValueError: for no classifier, or one that cannot be called; the function raises if
            the classifiers have different numbers of classes.
    """
    if not classifiers:
        raise ValueError("`classifiers` must hold one or more classifiers; received none.")
    members = [as_logits_function(classifier) for classifier in classifiers]

    def logits_fn(images):
        log_probabilities = [tf.nn.log_softmax(member(images)) for member in members]
        counts = [rows.shape[1] for rows in log_probabilities]
        if len(set(counts)) > 1:
            raise ValueError(
                "`classifiers` must have the same number of classes; "
                f"received {', '.join(map(str, counts))}."
            )
        stacked = tf.stack(log_probabilities)  # [M, B, C]
        return tf.reduce_logsumexp(stacked, axis=0) - math.log(len(members))

    # Loaded models live as long as something refers to them.
    logits_fn.members = classifiers
    return logits_fn


def ensemble_sha256(member_hashes):
    """Returns the SHA-256 of an ensemble from those of its members, in any order."""
    return hashlib.sha256("\n".join(sorted(member_hashes)).encode()).hexdigest()


def describe_models(paths):
    """Returns what a record says of the models: `model_sha256`, and of several each one's hash.

    Raises:
        RunError: if a path holds nothing to hash.
    """
    hashes = [model_sha256(path) for path in paths]
    if len(hashes) == 1:
        return {"model_sha256": hashes[0]}
    return {"model_sha256": ensemble_sha256(hashes), "ensemble_sha256": hashes}
