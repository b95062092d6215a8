"""One self-contained page of a preset: every table, every figure."""

import base64
import html
import itertools
import string

from tools.reproduction import claims_page, tables
from tools.reproduction.artifacts import ARTIFACTS
from tools.reproduction.documents import read_document
from tools.reproduction.numbers import NOT_RUN

PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --mark: #0072b2; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 85rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
nav { display: flex; flex-wrap: wrap; gap: .4rem; }
nav a { border: 1px solid var(--line); border-radius: 1rem; padding: .2rem .7rem;
        text-decoration: none; color: inherit; }
nav a.filled { border-color: var(--mark); }
.box { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--soft); text-align: right;
         white-space: nowrap; }
tr:first-child th:first-child, td:first-child { text-align: left; white-space: normal;
         min-width: 7rem; }
th { background: var(--soft); vertical-align: bottom; } th.group { text-align: center; }
th.source { text-align: left; }
td.source { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; text-align: left; }
td.failed { color: #c33; font-weight: 600; }
figure { margin: 1rem 0; } img { max-width: min(100%, 44rem); height: auto; background: #fff; }
p.note { font-size: .9rem; opacity: .85; } .none { opacity: .7; }
code { overflow-wrap: anywhere; font-size: .85rem; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$lead</p>
<nav>$links</nav>
$sections
</body>
</html>
""")


def make_report(graph, folder):
    """Returns the page as text; `folder` is results/<preset>."""
    documents = {name: read_document(folder / name) for name in ARTIFACTS}
    sections = [_claims(graph, folder)] + [
        _section(artifact, graph, documents[name], folder / name)
        for name, artifact in ARTIFACTS.items()
    ]
    links = ['<a href="#claims" class="filled">Claims</a>'] + [
        f'<a href="#{name}"{_class(bool(documents[name]))}>{_text(_short(name))}</a>'
        for name in ARTIFACTS
    ]
    num_done = sum(map(bool, documents.values()))
    title = f"ascl_tf: the paper's tables and figures, preset {graph.preset.name}"
    lead = f"{num_done} of {len(ARTIFACTS)} have been run; {NOT_RUN} stands for what has not."
    return PAGE.substitute(
        title=_text(title), lead=_text(lead), links="".join(links), sections="\n".join(sections)
    )


def _claims(graph, folder):
    grid = claims_page.make_grid(claims_page.judge_all(folder), graph.preset.name)
    return f'<section id="claims">\n<h2>The paper\'s claims</h2>\n{_table(grid)}\n</section>'


def _section(artifact, graph, document, folder):
    parts = [f'<section id="{artifact.name}">', f"<h2>{_text(artifact.heading)}</h2>"]
    parts += [_table(grid) for grid in tables.make_grids(artifact, graph, document)]
    parts += [_figure(name, artifact, document, folder) for name in artifact.figures]
    if document:
        parts.append(f"<p><code>{_text(document['command'])}</code></p>")
    return "\n".join([*parts, "</section>"])


def _table(grid):
    rows = ["".join(map(_cell, row, grid.headings)) for row in grid.rows]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    note = f'<p class="note">{_text(grid.note)}</p>' if grid.note else ""
    return f'<div class="box"><table>{_head(grid.headings)}\n{body}</table></div>\n{note}'


def _head(headings):
    """Returns the head of a table; "SA, paper" and "SA, ours" stand below one SA."""
    upper, lower = [], []
    for name, group in itertools.groupby(headings, lambda heading: heading.partition(", ")[0]):
        parts = [heading.partition(", ")[2] for heading in group]
        if parts == [""]:
            side = ' class="source"' if name == tables.SOURCE else ""
            upper.append(f'<th rowspan="2"{side}>{_text(name)}</th>')
        else:
            upper.append(f'<th class="group" colspan="{len(parts)}">{_text(name)}</th>')
            lower += [f"<th>{_text(part)}</th>" for part in parts]
    if not lower:
        return "<tr>" + "".join(upper).replace(' rowspan="2"', "") + "</tr>"
    return f"<tr>{''.join(upper)}</tr>\n<tr>{''.join(lower)}</tr>"


def _cell(text, heading):
    name = "failed" if text.startswith(tables.FAILED) else ""
    name = "source" if heading == tables.SOURCE else name
    return f'<td class="{name}">{_text(text)}</td>' if name else f"<td>{_text(text)}</td>"


def _figure(name, artifact, document, folder):
    """Returns a figure with its picture inside the page, or a dash."""
    caption = f"{artifact.heading} ({name.replace('_', ' ')})"
    picture = folder / f"{name}.png"
    if name not in document.get("figures", []) or not picture.exists():
        failed = any(entry.get("figure") == name for entry in document.get("failed", []))
        state = tables.FAILED if failed else NOT_RUN
        return f'<p class="none">{_text(caption)}: {state}</p>'
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{_text(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _short(name):
    kind = name.rstrip("0123456789")
    return f"{kind.capitalize()} {name.removeprefix(kind)}".strip()


def _class(is_filled):
    return ' class="filled"' if is_filled else ""


def _text(text):
    return html.escape(text)
