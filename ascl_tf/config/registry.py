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
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ascl_tf.config.outside import import_outside
from ascl_tf.config.sections import SHARED_SECTIONS
from ascl_tf.errors import ConfigError, near_names

LABELS_REQUIRED, LABELS_OPTIONAL, LABELS_NONE = "required", "optional", "none"
_LABELS = (LABELS_REQUIRED, LABELS_OPTIONAL, LABELS_NONE)
# (setting, expected, found)
Conflict = tuple[str, str, Any]
MethodClass = TypeVar("MethodClass", bound=type)

# Where the class of an outside method keeps its spec.
SPEC_ATTRIBUTE = "method_spec"
_METHOD_PARTS = ("make_views", "make_adversarial", "forward")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The optimizer of a method, and its learning rate at a batch size.

    Example:
        >>> Recipe(learning_rate=0.1, batch_size=512).rate_at(128)
        0.05
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.1
    batch_size: int = 512

    def rate_at(self, batch_size: int) -> float:
        """Returns the learning rate at another batch size: by the root of their ratio.

        So the noise of a step keeps its size (Krizhevsky 2014, arXiv:1404.5997, section 5). In
        proportion, the other rule in use, small data sets, whose batches are small, learn slowly.
        """
        return float(f"{self.learning_rate * (batch_size / self.batch_size) ** 0.5:.6g}")


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
        recipe: the learning rate where none is given.
        sha256: of the file of an outside method; empty for one of the package.
    """

    name: str
    class_path: str
    settings: tuple[type, ...] = ()
    labels: str = LABELS_REQUIRED
    label_free_weight: str = ""
    needs_finetuning: bool = True
    find_conflict: Callable[[Any], Conflict | None] | None = None
    recipe: Recipe = Recipe()
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.labels not in _LABELS:
            raise ConfigError(
                place=self._place,
                expected=f"labels to be one of {', '.join(_LABELS)}",
                found=repr(self.labels),
            )
        names = [name for section in self.settings for name in _names_of(self._place, section)]
        is_weighted = self.labels == LABELS_OPTIONAL
        if is_weighted != bool(self.label_free_weight) or (
            is_weighted and self.label_free_weight not in names
        ):
            raise ConfigError(
                place=self._place,
                expected="label_free_weight to be one of its settings if labels are optional, "
                "else empty",
                found=repr(self.label_free_weight),
            )

    @property
    def _place(self) -> str:
        return f"method {self.name}" if self.name else "register_method"

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
    return isinstance(name, str) and ":" in name


def find_method(name: str) -> MethodSpec:
    """Returns the spec of a method; an outside one is imported when it is first asked for.

    Raises:
        ConfigError: if there is no such method.
    """
    _load_own()
    if is_outside(name) and name not in _SPECS:
        register(_load_outside(name))
    if not isinstance(name, str) or name not in _SPECS:
        raise ConfigError(
            field="method",
            expected=f"one of {', '.join(method_names())}, or one of your own as "
            "my_package.my_file:MyMethod",
            found=f"{name!r}{near_names(name, method_names())}",
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
    found: Any = getattr(import_outside("method", name), class_name, None)
    # What every method defines: the class itself is known to those only who know TensorFlow.
    is_method = inspect.isclass(found) and all(hasattr(found, part) for part in _METHOD_PARTS)
    if not is_method:
        raise ConfigError(
            field="method",
            value=name,
            expected=f"a subclass {class_name!r} of ascl_tf.methods.Method in {module_name}",
            found="none" if found is None else getattr(found, "__name__", type(found).__name__),
        )
    spec = getattr(found, SPEC_ATTRIBUTE, None) or MethodSpec("", "")
    _check_new(name, spec)
    source = pathlib.Path(inspect.getfile(found)).read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    return dataclasses.replace(spec, name=name, class_path=name, sha256=sha256)


def _check_new(name: str, spec: MethodSpec) -> None:
    """Raises ConfigError if a setting of an outside method has a name that is taken."""
    taken = {*SHARED_SECTIONS.values(), *(set(method_sections()) - set(spec.settings))}
    names = {field.name for section in taken for field in dataclasses.fields(section)}
    own: set[str] = set()
    for section in dict.fromkeys(spec.settings):
        clashing = sorted((names | own) & set(_names_of(name, section)))
        if clashing:
            raise ConfigError(
                place=f"{section.__module__}.{section.__name__}",
                expected="names that no other setting has",
                found=", ".join(clashing),
            )
        own |= set(_names_of(name, section))


def _names_of(place: str, section: Any) -> list[str]:
    """Returns the names of the settings in a section, after checking that they are settings."""
    if not (inspect.isclass(section) and dataclasses.is_dataclass(section)):
        raise ConfigError(place=place, expected="dataclasses as settings", found=repr(section))
    for field in dataclasses.fields(section):
        if "help" not in field.metadata:
            raise ConfigError(
                place=place,
                expected=f"ascl_tf.config.setting to make {section.__name__}.{field.name}",
                found="another field",
            )
    return [field.name for field in dataclasses.fields(section)]


def register_method(
    *,
    settings: Sequence[type] = (),
    labels: str = LABELS_REQUIRED,
    label_free_weight: str = "",
    needs_finetuning: bool = True,
    find_conflict: Callable[[Any], Conflict | None] | None = None,
    recipe: Recipe = Recipe(),
) -> Callable[[MethodClass], MethodClass]:
    """Returns a decorator for a subclass of `Method`; without it the defaults hold.

    Args:
        settings, labels, label_free_weight, needs_finetuning, find_conflict, recipe: see
            `MethodSpec`.
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
        recipe=recipe,
    )

    def decorate(method_class: MethodClass) -> MethodClass:
        setattr(method_class, SPEC_ATTRIBUTE, spec)
        return method_class

    return decorate
