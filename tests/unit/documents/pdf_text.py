"""The text of a PDF as a reader would copy it, without a PDF library.

What belongs here: as much of PDF as Typst writes (one content stream a page, fonts with a
ToUnicode map). What does not: any expectation.
"""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(\d+) 0 obj\s*(.*?)\bendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*)\r?\nendstream", re.DOTALL)
_TOKEN = re.compile(rb"/(\w+) [\d.]+ Tf|(BT)|(\()", re.DOTALL)
_CHARACTER = re.compile(rb"\\([0-7]{3}|.)|(.)", re.DOTALL)
# What a run is marked with, such as its language: no text of the page.
_MARKS = re.compile(rb"/\w+<<.*?>>BDC", re.DOTALL)
_ESCAPED = {b"n": 10, b"r": 13, b"t": 9, b"b": 8, b"f": 12}


def pdf_text(content: bytes) -> str:
    """All text, one line for each run of glyphs."""
    objects = {int(found[1]): found[2] for found in _OBJECT.finditer(content)}
    fonts = {
        name: _to_unicode(_stream(objects[_reference(objects[int(number)], b"ToUnicode")]))
        for name, number in re.findall(rb"/(f\d+) (\d+) 0 R", b"".join(objects.values()))
    }
    pages = sorted(
        (number, body) for number, body in objects.items() if re.search(rb"/Type/Page\b", body)
    )
    return "\n".join(
        _page_text(_stream(objects[_reference(body, b"Contents")]), fonts) for _, body in pages
    )


def _reference(body: bytes, name: bytes) -> int:
    found = re.search(rb"/" + name + rb" (\d+) 0 R", body)
    assert found, (name, body[:200])
    return int(found[1])


def _stream(body: bytes) -> bytes:
    found = _STREAM.search(body)
    assert found
    return zlib.decompress(found[1]) if b"/FlateDecode" in body else found[1]


def _to_unicode(cmap: bytes) -> dict[int, str]:
    known = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", cmap, re.DOTALL):
        for code, text in re.findall(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            known[int(code, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    assert b"beginbfrange" not in cmap
    return known


def _page_text(stream: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    stream = _MARKS.sub(b"", stream)
    parts: list[str] = []
    font: dict[int, str] = {}
    at = 0
    while (found := _TOKEN.search(stream, at)) is not None:
        at = found.end()
        if found[1]:
            font = fonts[found[1]]
        elif found[2]:
            parts.append("\n")
        else:
            codes, at = _string(stream, at)
            parts += [font[int.from_bytes(codes[i : i + 2])] for i in range(0, len(codes), 2)]
    return "".join(parts)


def _string(stream: bytes, at: int) -> tuple[bytes, int]:
    """The string that begins at `at`, and where it ends; parentheses in it are balanced."""
    found, depth = bytearray(), 1
    while True:
        character = _CHARACTER.match(stream, at)
        assert character
        at = character.end()
        escaped, plain = character.groups()
        if plain == b")" and depth == 1:
            return bytes(found), at
        depth += {b"(": 1, b")": -1}.get(plain, 0)
        if plain:
            found += plain
        elif escaped.isdigit():
            found.append(int(escaped, 8))
        else:
            found.append(_ESCAPED.get(escaped, escaped[0]))
