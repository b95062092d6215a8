"""Pages of the reference that are made from the code: flags, protocols, the public API.

    pages()  # {"reference/train.md": "# ...", ...}, for the site (tools/docs_site.py)

Flags come from the objects that `--helpfull` prints, protocols from those that `--protocol=help`
lists.
"""

import dataclasses
import html
import re

import ascl_tf
from ascl_tf import config as cfg
from ascl_tf import train
from ascl_tf.evaluation.protocols import PROTOCOLS, SERIES, describe
from ascl_tf.program.analyze_settings import AnalyzeConfig
from ascl_tf.program.evaluate_settings import EvaluateConfig
from ascl_tf.program.export_settings import ExportConfig
from ascl_tf.program.flag_defs import accepted, define_flags, define_program_flags
from ascl_tf.program.flag_help import default_of, text_of, topics_of
from ascl_tf.program.predict_settings import PredictConfig

CONFIGS = {
    "evaluate": EvaluateConfig,
    "analyze": AnalyzeConfig,
    "export": ExportConfig,
    "predict": PredictConfig,
}
PROGRAMS = ("train", *CONFIGS)
_BOUNDS = {"above": ">", "minimum": "at least", "maximum": "at most"}


def pages():
    """Returns a dictionary from path below docs/ to Markdown."""
    flags = {f"reference/{program}.md": flags_page(program) for program in PROGRAMS}
    return flags | {"reference/protocols.md": protocols_page(), "reference/api.md": api_page()}


def flags_page(program):
    """Returns the Markdown page of every flag of a program, by section."""
    values = _flags_of(program)
    parts = [
        f"# Flags of `ascl_tf.{program}`",
        f"What `python -m ascl_tf.{program} --helpfull` prints, by section. A flagfile "
        "(`--flagfile=my.flags`) holds one flag a line.",
    ]
    for title, fields in _sections_of(program, values).items():
        rows = [_flag_row(values[name], field) for name, field in fields.items()]
        parts += [f"## {title}", _table(("flag", "default", "takes", "help"), rows)]
    return "\n\n".join(parts) + "\n"


def protocols_page():
    """Returns the Markdown page of every protocol."""
    columns = ("name", "attack", "a variant may change")
    curves = [(f"`{name}`", text) for name, text in SERIES.items()]
    parts = [
        "# Protocols",
        "What `--protocol=help` lists. Radii and steps are in [0, 1] pixel units. A variant has "
        "other numbers behind an `@`, such as `pgd20@epsilon=4/255`; see [Measuring "
        "robustness](../evaluation.md#protocols).",
        _table(columns, [_protocol_row(protocol) for protocol in PROTOCOLS.values()]),
        "## Series",
        "`--protocol` also takes these, which give one record per point.",
        _table(("name", "gives"), curves),
    ]
    return "\n\n".join(parts) + "\n"


def api_page():
    """Returns the Markdown page of `ascl_tf.__all__`; the site puts docstrings in place of :::."""
    blocks = [f"::: {getattr(ascl_tf, name).__module__}.{name}" for name in ascl_tf.__all__]
    intro = "After `import ascl_tf` these are `ascl_tf.pretrain(...)` and so on."
    return "\n\n".join(["# Python API", intro, *blocks]) + "\n"


def _flags_of(program):
    if program == "train":
        return train.make_flags()
    values = define_flags(CONFIGS[program])
    define_program_flags(values)
    return values


def _sections_of(program, values):
    """Returns {title: {flag: its field, or None}}; every flag is in one section."""
    sections = cfg.sections() if program == "train" else [CONFIGS[program]]
    fields = {f.name: f for section in sections for f in dataclasses.fields(section)}
    topics = topics_of(*sections)
    named = {title: {n: fields[n] for n in names} for title, names in topics.items() if names}
    return {"General": dict.fromkeys(sorted(set(values) - set(fields) - {"?"}))} | named


def _flag_row(flag, field):
    default = default_of(flag)
    shown = f"`{default}`" if default else "empty"
    return f"`--{flag.name}`", shown, _escape(_takes(flag, field)), _escape(text_of(flag))


def _takes(flag, field):
    text = accepted(flag.parser) or "text"
    if field is None:
        return text
    bounds = field.metadata["bounds"].items()
    said = [f"{_BOUNDS[kind]} {bound:.10g}" for kind, bound in bounds if bound is not None]
    return ", ".join([text, *said])


def _protocol_row(protocol):
    numbers = ", ".join(f"`{number}`" for number in protocol.own_numbers)
    return f"`{protocol.name}`", describe(protocol), numbers or "--"


def _table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _escape(text):
    """Returns text that stands in a cell of a table as it is; what is in backticks stays."""
    parts = text.replace("|", "\\|").split("`")
    plain = (html.escape(part, quote=False) for part in parts[::2])
    parts[::2] = [re.sub(r"([*_\[\]])", r"\\\1", part) for part in plain]
    return "`".join(parts)
