"""Steps of a reproduction, and the key that tells one from another."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Part of every key: a new number makes all that was done before count as not done.
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Place:
    """A file or folder that a step leaves.

    Attributes:
        node: the step; None: the one whose argument this is.
        pattern: relative to the step's folder; matches one file or folder.
    """

    node: "Node | None"
    pattern: str = "."


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Node:
    """One call of a program. Nothing in it says where its folder lies.

    Attributes:
        kind: what it does, such as "pretrain"; the beginning of its folder's name.
        title: for people; no part of the key.
        program: module that is called, such as "ascl_tf.train".
        settings: all that its result depends on, as plain values.
        arguments: of the program; each is text, or a tuple of texts and `Place`s.
        links: name in its folder -> `Place` of an earlier step that it needs there.
        outputs: patterns of what it leaves, relative to its folder.
        seconds: estimate of its time on one CPU core.
    """

    kind: str
    title: str
    program: str
    settings: Mapping[str, Any]
    arguments: tuple[Any, ...]
    outputs: tuple[str, ...]
    links: Mapping[str, Place] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    @functools.cached_property
    def before(self):
        """The steps that must be done first, each once."""
        pieces = [piece for argument in self.arguments for piece in _pieces(argument)]
        places = [piece for piece in pieces if isinstance(piece, Place)]
        nodes = [place.node for place in (*places, *self.links.values()) if place.node]
        return tuple({node.key: node for node in nodes}.values())

    @functools.cached_property
    def key(self):
        """SHA-256 over kind, settings, arguments and the keys of the steps before."""
        document = {
            "format": FORMAT,
            "kind": self.kind,
            "program": self.program,
            "settings": dict(self.settings),
            "arguments": [
                [_key_of_piece(piece) for piece in _pieces(argument)] for argument in self.arguments
            ],
            "links": {name: _key_of_piece(place) for name, place in self.links.items()},
        }
        text = json.dumps(document, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def __repr__(self):
        return f"<{self.name}: {self.title}>"

    @property
    def name(self):
        """What its folder is called."""
        return f"{self.kind}-{self.key[:12]}"


def in_order(nodes):
    """Returns these steps and all before them, each once, none before what it needs."""
    ordered = {}

    def visit(node):
        if node.key not in ordered:
            for earlier in node.before:
                visit(earlier)
            ordered[node.key] = node

    for node in nodes:
        visit(node)
    return list(ordered.values())


def command_line(node, resolve):
    """Returns the arguments as text; `resolve` turns a `Place` into a path."""
    return [
        "".join(piece if isinstance(piece, str) else resolve(piece) for piece in _pieces(argument))
        for argument in node.arguments
    ]


def _pieces(argument):
    return (argument,) if isinstance(argument, str | Place) else argument


def _key_of_piece(piece):
    if isinstance(piece, str):
        return piece
    return [piece.node.key if piece.node else "", piece.pattern]
