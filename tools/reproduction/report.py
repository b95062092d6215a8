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
/* Shadows at the sides to which a table can be scrolled, and a bar that stays visible. */
.box { overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem;
       scrollbar-width: thin; scrollbar-color: #888 var(--soft);
       background: linear-gradient(to right, Canvas 1rem, #0000),
           linear-gradient(to left, Canvas 1rem, #0000) 100% 0,
           linear-gradient(to right, #8888, #0000) 0 0,
           linear-gradient(to left, #8888, #0000) 100% 0;
       background-repeat: no-repeat; background-size: 3rem 100%, 3rem 100%, 1rem 100%, 1rem 100%;
       background-attachment: local, local, scroll, scroll; }
.box::-webkit-scrollbar { height: .6rem; background: var(--soft); }
.box::-webkit-scrollbar-thumb { background: #888; border-radius: .3rem; }
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
p.note, figcaption { font-size: .9rem; opacity: .85; max-width: 44rem; } .none { opacity: .7; }
summary { cursor: pointer; font-weight: 600; margin: 1.5rem 0 .5rem; }
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
    made = {
        name: _section(artifact, graph, documents[name], folder / name)
        for name, artifact in ARTIFACTS.items()
    }
    finished = [made[name] for name in made if documents[name]]
    unfinished = [made[name] for name in made if not documents[name]]
    links = ['<a href="#claims" class="filled">Claims</a>'] + [
        f'<a href="#{name}"{_class(bool(documents[name]))}>{_text(_short(name))}</a>'
        for name in ARTIFACTS
    ]
    title = f"ascl_tf: the paper's tables and figures, preset {graph.preset.name}"
    lead = f"{graph.preset.describe()} {_LEGEND}"
    folded = _folded(f"Not run yet: {len(unfinished)} of {len(made)}", unfinished)
    sections = [_claims(graph, folder), *finished, folded if unfinished else ""]
    return PAGE.substitute(
        title=_text(title), lead=_text(lead), links="".join(links), sections="\n".join(sections)
    )


_LEGEND = (
    "SA: accuracy on clean test images, RA: under attack, in percent. Two numbers with a slash: "
    f"the best and the last epoch's. {NOT_RUN}: not run yet."
)


def _folded(summary, sections):
    inside = "\n".join(sections)
    return f"<details><summary>{_text(summary)}</summary>\n{inside}\n</details>"


def _claims(graph, folder):
    grid = claims_page.make_grid(claims_page.judge_all(folder), graph.preset.name)
    table = _folded("All claims, with intervals and commands", [_table(grid._replace(note=""))])
    heading = "<h2>The paper's claims</h2>"
    return f'<section id="claims">\n{heading}\n<p>{_text(grid.note)}</p>\n{table}\n</section>'


def _section(artifact, graph, document, folder):
    parts = [f'<section id="{artifact.name}">', f"<h2>{_text(artifact.heading)}</h2>"]
    parts += [_table(grid) for grid in tables.make_grids(artifact, graph, document)]
    parts += [_figure(name, artifact, document, folder) for name in artifact.figures]
    parts += [_picture(name, artifact, folder) for name in artifact.plots]
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
    caption = _caption(name, artifact)
    if name not in document.get("figures", []) or not (folder / f"{name}.png").exists():
        failed = any(entry.get("figure") == name for entry in document.get("failed", []))
        state = tables.FAILED if failed else NOT_RUN
        return f'<p class="none">{_text(caption)}: {state}</p>'
    return _picture(name, artifact, folder)


def _picture(name, artifact, folder):
    """Returns a picture inside the page, with what there is to see in it; "" where it is not."""
    picture = folder / f"{name}.png"
    if not picture.exists():
        return ""
    caption = _caption(name, artifact)
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{_text(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{_text(caption)}. {_text(_SEEN[name])}</figcaption></figure>"
    )


def _caption(name, artifact):
    return f"{artifact.heading} ({name.replace('_', ' ')})"


def _short(name):
    kind = name.rstrip("0123456789")
    return f"{kind.capitalize()} {name.removeprefix(kind)}".strip()


def _class(is_filled):
    return ' class="filled"' if is_filled else ""


def _text(text):
    return html.escape(text)


# What there is to see in a figure.
_SEEN = {
    "inversion": "Each column begins with a picture or noise and raises one feature. The more the "
    "results look like objects, the more the feature follows what people see.",
    "tsne": "Each point is a test image, colored by its class. Where classes lie apart, the "
    "features tell them apart; the silhouette and the nearest neighbors say so in numbers.",
    "input_landscape": "Loss around test images, along the adversarial direction and a random one. "
    "The flatter, the less a small change does.",
    "weight_landscape": "Loss under attack as all weights move along a random direction. The "
    "flatter, the better robustness usually carries over to test images.",
    "sweeps": "Robust accuracy under more attack steps and under larger radii. It should level off "
    "with the steps, and fall to zero with the radius.",
    "corruptions": "Accuracy by type of corruption, one row each: the further right, the better.",
    "transfer": "Accuracy of each row under examples made on each column: the darker, the more "
    "of them fool it.",
    "shares": "Accuracy of each method over the share of the training images that have a label, "
    "each with as many forward passes. Bars are the standard deviation over seeds.",
    "calibration": "Accuracy over confidence. A calibrated model follows the diagonal.",
}
