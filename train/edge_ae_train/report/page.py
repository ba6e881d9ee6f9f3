"""Sections of text, tables and pictures -> one HTML file that stands alone, and a Markdown file with its pictures.

Knows nothing of models or recordings. Every text is escaped: names come from files that anybody may have written.
"""

import html
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from edge_ae.errors import BadData

CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22272e; max-width: 1120px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.7em; } h2 { margin-top: 2em; border-bottom: 2px solid #d8dde3; padding-bottom: .2em; }
p { max-width: 52em; } img { max-width: 100%; display: block; margin: .6em 0 1.4em; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; margin: .6em 0 1.4em; }
th, td { border-bottom: 1px solid #e3e7eb; padding: .3em .7em; text-align: left; vertical-align: top; }
th { background: #f4f6f8; } td { font-variant-numeric: tabular-nums; }
td:first-child, td:nth-child(2) { white-space: nowrap; }
nav a { margin-right: 1em; } a { color: #1f6fb4; }
"""


@dataclass(frozen=True)
class Picture:
    file: str
    png: bytes


@dataclass(frozen=True)
class Hyperlink:
    """A cell that leads to another page; `address`: relative to this one."""

    text: str
    address: str


@dataclass(frozen=True)
class Grid:
    header: Sequence[str]
    rows: Sequence[Sequence[str | Hyperlink]]


Block = str | Picture | Grid


@dataclass(frozen=True)
class Chapter:
    """A heading and what stands under it: sentences, pictures and tables in order."""

    title: str
    blocks: tuple[Block, ...]


@contextmanager
def _into(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadData(f"{out}: the report cannot be written ({error.strerror or error})") from None


def make_folder(out: Path) -> None:
    """The folder of a report, made before the work and not after it. BadData where that cannot be."""
    with _into(out):
        (out / "pictures").mkdir(parents=True, exist_ok=True)


def write(out: Path, title: str, sections: Sequence[Chapter], facts: bytes) -> Path:
    """report.html, report.md, report.json and pictures/ in a folder that is prepared."""
    texts = {
        "report.html": as_html(title, sections).encode(),
        "report.md": as_markdown(title, sections).encode(),
        "report.json": facts,
    }
    drawn = {f"pictures/{block.file}": block.png for s in sections for block in s.blocks if isinstance(block, Picture)}
    with _into(out):
        for name, content in (drawn | texts).items():
            (out / name).write_bytes(content)
    return out / "report.html"


def as_html(title: str, sections: Sequence[Chapter]) -> str:
    links = "".join(f'<a href="#s{i}">{html.escape(s.title)}</a>' for i, s in enumerate(sections))
    parts = "".join(
        f'<h2 id="s{i}">{html.escape(s.title)}</h2>' + "".join(map(_html_block, s.blocks))
        for i, s in enumerate(sections)
    )
    name = html.escape(title)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>'
    return (
        f"<!doctype html><html lang=en><head>{head}<style>{CSS}</style></head>"
        f"<body><h1>{name}</h1><nav>{links}</nav>{parts}</body></html>\n"
    )


def _html_block(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{html.escape(block)}</p>"
    if isinstance(block, Picture):
        return f'<img alt="{html.escape(block.file)}" src="data:image/png;base64,{b64encode(block.png).decode()}">'
    header = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.header)
    rows = "".join("<tr>" + "".join(f"<td>{_html_cell(c)}</td>" for c in row) + "</tr>" for row in block.rows)
    return f'<div class="wide"><table><tr>{header}</tr>{rows}</table></div>'


def _html_cell(cell: str | Hyperlink) -> str:
    if isinstance(cell, str):
        return html.escape(cell)
    return f'<a href="{html.escape(quote(cell.address))}">{html.escape(cell.text)}</a>'


def as_markdown(title: str, sections: Sequence[Chapter]) -> str:
    parts = [f"# {_plain(title)}"]
    for section in sections:
        parts += [f"## {_plain(section.title)}", *map(_markdown_block, section.blocks)]
    return "\n\n".join(parts) + "\n"


def _markdown_block(block: Block) -> str:
    if isinstance(block, str):
        return _plain(block)
    if isinstance(block, Picture):
        return f"![{block.file}](pictures/{block.file})"
    lines: list[Sequence[str | Hyperlink]] = [block.header, ["---"] * len(block.header), *block.rows]
    return "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)


def _markdown_cell(cell: str | Hyperlink) -> str:
    return _plain(cell) if isinstance(cell, str) else f"[{_plain(cell.text)}]({quote(cell.address)})"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_<>|\[\]#])", r"\\\1", text).replace("\n", " ")
