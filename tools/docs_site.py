"""Hooks of mkdocs (see mkdocs.yml): pages made from the code, and files from outside of docs/.

Documents link to files beside docs/ as a reader of the repository needs it: `../CONTRIBUTING.md`.
The site holds copies of those files below its own root, and the links lose their `../`.
"""

import pathlib
import re

from mkdocs.structure.files import File

from tools.reference_pages import pages

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\(([^)\s#]+)")


def on_files(files, config):
    """Adds the generated pages, and what documents link to outside of docs/."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    for path in sorted(_linked_from_outside()):
        source = str(ROOT / path)
        files.append(File.generated(config, path.as_posix(), abs_src_path=source))
    return files


def on_page_markdown(markdown, page, **_):
    """Makes links between docs/ and its surroundings links within the site."""
    path = pathlib.PurePosixPath(page.file.src_uri)
    if page.file.abs_src_path == str(ROOT / path):
        return markdown.replace("](docs/", f"]({'../' * (len(path.parts) - 1)}")
    if page.file.generated_by:
        return markdown
    # One level up from docs/ is the site's root.
    up = "../" * (len(path.parts) - 1)
    return markdown.replace(f"]({up}../", f"]({up}")


def _linked_from_outside():
    """Returns paths, from the repository's root, of all files that documents link to there."""
    found, to_read = set(), sorted(DOCS.rglob("*.md"))
    while to_read:
        file = to_read.pop()
        for target in _LINK.findall(file.read_text(encoding="utf-8")):
            linked = (file.parent / target).resolve()
            is_new = linked.is_file() and not linked.is_relative_to(DOCS) and linked not in found
            if "://" in target or not is_new:
                continue
            found.add(linked)
            to_read += [linked] if linked.suffix == ".md" else []
    return {file.relative_to(ROOT) for file in found}
