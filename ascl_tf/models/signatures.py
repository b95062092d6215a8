"""Signatures of SavedModels as plain functions of images, of any batch size."""

import tensorflow as tf


def as_image_function(loaded, key):
    """Returns a function images [B, H, W, C] -> what a signature gives, differentiable.

    Images are cast to the float type that the signature asks for. Where it asks for a fixed
    number of images, they are handed to it in parts of that size, the last filled up with
    copies of one, whose output is cut off. The function's `image_spec` is the signature's.

    Args:
        loaded: what `tf.saved_model.load` returns.
        key: name of one of its signatures.

    Raises:
        ValueError: if the signature has not one input, or one that is not of floats; the
            function raises if the images' shape does not fit.
    """
    signature = loaded.signatures[key]
    name, spec = _only_input(signature, key)

    def call(images):
        return signature(**{name: images})

    size = spec.shape[0] if spec.shape.rank else None
    if size is not None:
        call = in_parts(call, size, signature.structured_outputs)

    def image_function(images):
        images = tf.convert_to_tensor(images)
        if not images.shape[1:].is_compatible_with(spec.shape[1:]):
            raise ValueError(
                f"`images` must have shape {spec.shape[1:]}, as the model's signature says; "
                f"received {images.shape[1:]}."
            )
        return call(tf.cast(images, spec.dtype))

    image_function.image_spec = spec
    # The signature's variables live as long as the loaded object does.
    image_function.loaded = loaded
    return image_function


def _only_input(signature, key):
    """Returns (name, `tf.TensorSpec`) of a signature's input."""
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1:
        found = ", ".join(sorted(inputs)) or "none"
        raise ValueError(f"expected one input of signature {key}; found {found}")
    ((name, spec),) = inputs.items()
    if not spec.dtype.is_floating:
        raise ValueError(
            f"expected a signature {key} of float images in [0, 1]; found {spec.dtype.name}"
        )
    return name, spec


def in_parts(function, size, output_specs):
    """Returns a function that hands its images to `function` in parts of `size`.

    Args:
        function: images [size, H, W, C] -> tensors [size, ...].
        size: Python int >= 1.
        output_specs: `tf.TensorSpec`s of what `function` returns, in that structure.
    """

    def call(images):
        count = tf.shape(images)[0]
        num_parts = (count + size - 1) // size
        # Copies of an image: any model that takes the images takes those.
        copies = tf.repeat(images[:1], num_parts * size - count, axis=0)
        parts = tf.concat([images, copies], axis=0)
        parts = tf.reshape(parts, [num_parts, size, *images.shape[1:]])
        outputs = tf.map_fn(function, parts, fn_output_signature=output_specs)

        def whole(output):
            rows = tf.reshape(output, tf.concat([[-1], tf.shape(output)[2:]], axis=0))
            return tf.ensure_shape(rows[:count], [images.shape[0], *output.shape[2:]])

        return tf.nest.map_structure(whole, outputs)

    return call
