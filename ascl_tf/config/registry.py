"""Which methods of pre-training there are, and what each needs. No TensorFlow.

A method of the package is a class and, beside it, a file `<name>_spec.py` that registers what must
be known before TensorFlow is imported: its settings become flags. A method from outside is named
by module and class, `--method=my_package.my_file:MyMethod`; its module is imported when the name
is first read, and the decorator `ascl_tf.methods.register_method` says the same of it.
"""

import dataclasses
import functools
import hashlib
import importlib
import inspect
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ascl_tf.errors import ConfigError

LABELS_REQUIRED, LABELS_OPTIONAL, LABELS_NONE = "required", "optional", "none"
# (setting, expected, found)
Conflict = tuple[str, str, Any]
MethodClass = TypeVar("MethodClass", bound=type)

# Where the class of an outside method keeps its spec.
SPEC_ATTRIBUTE = "method_spec"


@dataclasses.dataclass(frozen=True)
class MethodSpec:
    """What is known of a method before it is made.

    Attributes:
        name: as `--method` has it.
        class_path: "package.module:Class", imported when the method is chosen.
        settings: dataclasses of `setting` fields; each field is a flag of the same name. Methods
            may share one.
        labels: what the objective needs: `LABELS_REQUIRED`; `LABELS_OPTIONAL`, a term of it does
            without; `LABELS_NONE`.
        label_free_weight: under `LABELS_OPTIONAL`, the setting that weights the term without.
        needs_finetuning: False if the trained linear head is the result.
        find_conflict: callable `Config` -> `Conflict` or None, for settings that do not go
            together.
        sha256: of the file of an outside method; empty for one of the package.
    """

    name: str
    class_path: str
    settings: tuple[type, ...] = ()
    labels: str = LABELS_REQUIRED
    label_free_weight: str = ""
    needs_finetuning: bool = True
    find_conflict: Callable[[Any], Conflict | None] | None = None
    sha256: str = ""

    def load_class(self) -> Any:
        """Returns the class."""
        module, _, name = self.class_path.partition(":")
        return getattr(importlib.import_module(module), name)


_SPECS: dict[str, MethodSpec] = {}


def register(*specs: MethodSpec) -> None:
    """Adds methods to those that `--method` knows."""
    for spec in specs:
        _SPECS[spec.name] = spec


def method_names() -> tuple[str, ...]:
    """Returns the names of the package's own methods, sorted."""
    _load_own()
    return tuple(sorted(name for name in _SPECS if not is_outside(name)))


def is_outside(name: str) -> bool:
    """Returns whether a method's name is a module and a class, such as my_file:MyMethod."""
    return ":" in name


def find_method(name: str) -> MethodSpec:
    """Returns the spec of a method; an outside one is imported when it is first asked for.

    Raises:
        ConfigError: if there is no such method.
    """
    _load_own()
    if name not in _SPECS and is_outside(name):
        register(_load_outside(name))
    if name not in _SPECS:
        raise ConfigError(
            field="method",
            expected=f"one of {', '.join(method_names())}, or one of your own as "
            "my_package.my_file:MyMethod",
            found=repr(name),
        )
    return _SPECS[name]


def method_sections() -> list[type]:
    """Returns the dataclasses of settings of all methods, each once."""
    _load_own()
    return list(dict.fromkeys(section for spec in _SPECS.values() for section in spec.settings))


def methods_with(section: type) -> list[str]:
    """Returns the names of the methods that have these settings."""
    return sorted(name for name, spec in _SPECS.items() if section in spec.settings)


@functools.cache
def _load_own() -> None:
    folder = pathlib.Path(__file__).parents[1] / "methods"
    for file in sorted(folder.glob("*_spec.py")):
        importlib.import_module(f"ascl_tf.methods.{file.stem}")


def _load_outside(name: str) -> MethodSpec:
    module_name, _, class_name = name.partition(":")
    found = getattr(_import_outside(name, module_name), class_name, None)
    if not inspect.isclass(found):
        raise ConfigError(
            field="method",
            value=name,
            expected=f"a class {class_name!r} in {module_name}",
            found="none" if found is None else type(found).__name__,
        )
    spec = vars(found).get(SPEC_ATTRIBUTE) or MethodSpec("", "")
    _check_settings(name, spec)
    source = pathlib.Path(inspect.getfile(found)).read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    return dataclasses.replace(spec, name=name, class_path=name, sha256=sha256)


def _import_outside(name: str, module_name: str) -> Any:
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # As `python -m` has it; a console script has not.
    try:
        return importlib.import_module(module_name)
    except Exception as error:  # Whatever a user's file raises.
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            field="method",
            value=name,
            expected=f"a module {module_name!r} that can be imported",
            cause=" ".join(reason.split()),
        ) from error


def _check_settings(name: str, spec: MethodSpec) -> None:
    for section in spec.settings:
        for field in _fields_of(name, section):
            if "help" not in field.metadata:
                raise ConfigError(
                    field="method",
                    value=name,
                    expected=f"ascl_tf.config.setting to make {section.__name__}.{field.name}",
                    found="another field",
                )


def _fields_of(name: str, section: Any) -> Iterator["dataclasses.Field[Any]"]:
    if not dataclasses.is_dataclass(section):
        raise ConfigError(
            field="method", value=name, expected="dataclasses as settings", found=repr(section)
        )
    yield from dataclasses.fields(section)


def register_method(
    *,
    settings: Sequence[type] = (),
    labels: str = LABELS_REQUIRED,
    label_free_weight: str = "",
    needs_finetuning: bool = True,
    find_conflict: Callable[[Any], Conflict | None] | None = None,
) -> Callable[[MethodClass], MethodClass]:
    """Returns a decorator for a subclass of `Method`; without it the defaults hold.

    Args:
        settings, labels, label_free_weight, needs_finetuning, find_conflict: see `MethodSpec`.
            Each setting is a flag, and an attribute of `self.config`.

    Example:
        >>> import dataclasses
        >>> from ascl_tf.config import setting
        >>> from ascl_tf.methods import Method
        >>> @dataclasses.dataclass(frozen=True)
        ... class MySettings:
        ...     pairing_weight: float = setting(0.5, "Weight of the pairing term.", minimum=0)
        >>> @register_method(settings=[MySettings], needs_finetuning=False)
        ... class Mine(Method):
        ...     term_names = ("adversarial_loss", "pairing_loss")
        >>> Mine.method_spec.settings[0].pairing_weight, Mine.method_spec.needs_finetuning
        (0.5, False)
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

    def decorate(method_class: MethodClass) -> MethodClass:
        setattr(method_class, SPEC_ATTRIBUTE, spec)
        return method_class

    return decorate
