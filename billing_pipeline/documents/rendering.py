"""Documents as files: HTML and Markdown by Jinja, PDF by Typst, from templates in this package.

What belongs here: calling the two, and their error messages. What does not: the texts of a
document (``invoice``, ``close_report``). Both templates of a document get the same texts, as data:
markup in them is shown and has no effect.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from billing_pipeline.text import named_few

if TYPE_CHECKING:
    from jinja2 import Environment

# PDF/A, for archiving: every character is searchable and has a glyph.
PDF_STANDARD: Final = "a-2u"
PDF_STANDARD_WITH_FILES: Final = "a-3u"
_ATTACH = b"""
#pdf.attach(
  sys.inputs.file, bytes(sys.inputs.attached),
  relationship: "alternative", mime-type: "text/xml", description: "The same document as XML",
)
"""

# The Debian package with a font for a character, by the first word of its Unicode name.
_FONT_PACKAGES = {
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"), "fonts-noto-cjk"),
    **dict.fromkeys(("IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH"), "fonts-noto-cjk"),
}
_OTHER_SCRIPTS = "fonts-noto-core"
_SYMBOLS = "fonts-symbola"
_NO_GLYPH = re.compile(r'the text `"(.+?)"` could not be displayed', re.DOTALL)
_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")


class MissingGlyphError(RuntimeError):
    """No font has a certain character of the document, so no PDF was made."""

    def __init__(self, characters: str) -> None:
        super().__init__(
            f"no PDF was written: {glyph_advice(characters)}, or use --html, which needs no font"
        )


def glyph_advice(characters: str) -> str:
    """Which characters no font has, and where to get one that does."""
    names = [f"{char} (U+{ord(char):04X} {_name(char)})" for char in characters]
    packages = " ".join(sorted({_package(char) for char in characters}))
    return (
        f"no font here has {named_few(names, 3)}: install one (Debian: apt install {packages}), "
        "or name a folder of fonts with --fonts DIR"
    )


def html(template: str, document: Mapping[str, Any]) -> str:
    """The page as a single file: no scripts, no external resources."""
    return _environment().get_template(f"{template}.html").render(document)


def markdown(template: str, document: Mapping[str, Any]) -> str:
    """The document as Markdown: texts from outside are inline code, so that markup in them has no
    effect."""
    return _environment().get_template(f"{template}.md").render(document)


def _code(text: str) -> Markup:
    """A text as inline code that may stand in a table: no markup, no mention, no link."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return Markup(f"`{plain}`" if plain else "")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=PackageLoader("billing_pipeline.documents"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    return environment


def pdf(
    template: str,
    document: Mapping[str, Any],
    fonts: Sequence[str] = (),
    *,
    substitute: str = "",
    attached: tuple[str, bytes] | None = None,
) -> tuple[bytes, str]:
    """The document as PDF/A: the same document and fonts give the same bytes. It uses the fonts of
    Typst, of the system, and in the folders `fonts`. `attached`: name and content of an XML file
    that says the same; the document is then PDF/A-3, which allows one.

    A character that no font has is replaced with `substitute` and returned with the document;
    without a substitute, this raises `MissingGlyphError`. It never prints an empty box.
    """
    data = json.dumps(document, ensure_ascii=False)
    lacking = ""
    while True:
        try:
            return _compiled(template, data, fonts, attached), lacking
        except TypstFailure as failure:
            more = missing_characters(failure.diagnostic)
            if not more:
                raise
            if not substitute:
                raise MissingGlyphError(more) from failure
            lacking += more
            data = data.translate(dict.fromkeys(map(ord, more), substitute))


class TypstFailure(RuntimeError):
    """Typst failed; `diagnostic` is its whole message."""

    def __init__(self, diagnostic: str) -> None:
        super().__init__(f"the PDF could not be made: {diagnostic}")
        self.diagnostic = diagnostic


def _compiled(
    template: str, data: str, fonts: Sequence[str], attached: tuple[str, bytes] | None
) -> bytes:
    import typst

    inputs, source = {"document": data}, typst_source(template)
    if attached is not None:
        inputs |= {"file": attached[0], "attached": attached[1].decode("utf-8")}
        source = source + _ATTACH
    try:
        return typst.compile(
            source,
            format="pdf",
            sys_inputs=inputs,
            font_paths=typst.Fonts(font_paths=list(fonts)),
            pdf_standards=PDF_STANDARD if attached is None else PDF_STANDARD_WITH_FILES,
            timestamp=0,
        )
    except typst.TypstError as error:
        raise TypstFailure(error.diagnostic) from error


def typst_source(template: str) -> bytes:
    """The shared source followed by the template: one source, so Typst reads no other file."""
    folder = files("billing_pipeline.documents") / "templates"
    return b"".join((folder / name).read_bytes() for name in ("page.typ", f"{template}.typ"))


def missing_characters(diagnostic: str) -> str:
    """The characters that no font has, according to Typst: each once, in order."""
    texts = (
        _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
        for text in _NO_GLYPH.findall(diagnostic)
    )
    return "".join(dict.fromkeys("".join(texts)))


def _name(char: str) -> str:
    return unicodedata.name(char, "without a name")


def _package(char: str) -> str:
    if unicodedata.category(char).startswith("S"):
        return _SYMBOLS
    return _FONT_PACKAGES.get(_name(char).split()[0].split("-")[0], _OTHER_SCRIPTS)
