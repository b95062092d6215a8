"""The decorator that says what a method from outside of the package needs."""

from ascl_tf.config.registry import LABELS_REQUIRED, SPEC_ATTRIBUTE, MethodSpec


def register_method(
    *,
    settings=(),
    labels=LABELS_REQUIRED,
    label_free_weight="",
    needs_finetuning=True,
    find_conflict=None,
):
    """Returns a decorator for a subclass of `Method`; without it the defaults hold.

    Args:
        settings: dataclasses of `ascl_tf.config.setting` fields. Each field is a flag, and an
            attribute of `self.config`.
        labels: "required", "optional" or "none"; see `ascl_tf.config.registry.MethodSpec`, as for
            the others.
        label_free_weight: under "optional", the setting that weights the term without labels.
        needs_finetuning: False if the linear head that is trained along is the result.
        find_conflict: callable config -> (setting, expected, found) or None.

    Example:
        @register_method(needs_finetuning=False)
        class Mine(Method):
            ...
    """
    spec = MethodSpec(
        name="",
        class_path="",
        settings=tuple(settings),
        labels=labels,
        label_free_weight=label_free_weight,
        needs_finetuning=needs_finetuning,
        find_conflict=find_conflict,
    )

    def decorate(method_class):
        setattr(method_class, SPEC_ATTRIBUTE, spec)
        return method_class

    return decorate
