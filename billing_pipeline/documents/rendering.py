"""Documents as files: HTML by Jinja, PDF by Typst, each from a template of the package.

What belongs here: calling the two, and what to say where a page cannot be set. What does not:
what a document says (``invoice``, ``close_report``); both templates of a document get the same
texts. Texts are data to both: markup in them is shown, never obeyed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

# PDF/A: made to be kept for years, every character searchable, and none without a glyph.
PDF_STANDARD: Final = "a-2u"

# The first word of a character's Unicode name: Debian's package with a font for it.
_FONT_PACKAGES = {
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"), "fonts-noto-cjk"),
    **dict.fromkeys(("IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH"), "fonts-noto-cjk"),
}
_OTHER_SCRIPTS = "fonts-noto-core"
_SYMBOLS = "fonts-symbola"
_NO_GLYPH = re.compile(r'the text `"(.+?)"` could not be displayed', re.DOTALL)
_ESCAPE = re.compile(r"\\u\{([0-9a-f]+)\}")


class MissingGlyphError(RuntimeError):
    """No font has a character of the document; no PDF was made."""

    def __init__(self, characters: str) -> None:
        super().__init__(
            f"no PDF was written: {glyph_advice(characters)}, or write --html, which needs no font"
        )


def glyph_advice(characters: str) -> str:
    """Which characters no font has, and where to get one."""
    named = ", ".join(f"{char} (U+{ord(char):04X} {_name(char)})" for char in characters[:3])
    more = f" and {len(characters) - 3} more" if len(characters) > 3 else ""
    packages = " ".join(sorted({_package(char) for char in characters}))
    return (
        f"no font here has {named}{more}: install one (Debian: apt install {packages}), "
        "or name a folder that has it with --fonts DIR"
    )


def html(template: str, document: Mapping[str, Any]) -> str:
    """The page, complete in itself: no script, nothing to load."""
    return _environment().get_template(f"{template}.html").render(document)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        autoescape=True,
        loader=PackageLoader("billing_pipeline.documents"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def pdf(
    template: str, document: Mapping[str, Any], fonts: Sequence[str] = (), *, substitute: str = ""
) -> tuple[bytes, str]:
    """The document as PDF/A: the same bytes for the same document and fonts. Fonts are those of
    Typst, of the system, and in the folders `fonts`.

    A character that no font has is replaced by `substitute`, and given back beside the document;
    without a substitute it raises `MissingGlyphError`. A box in place of it is never printed.
    """
    data = json.dumps(document, ensure_ascii=False)
    lacking = ""
    while True:
        try:
            return _compiled(template, data, fonts), lacking
        except TypstFailure as failure:
            more = missing_characters(failure.diagnostic)
            if not more:
                raise
            if not substitute:
                raise MissingGlyphError(more) from failure
            lacking += more
            data = data.translate(dict.fromkeys(map(ord, more), substitute))


class TypstFailure(RuntimeError):
    """Typst could not set a document; `diagnostic` is all that it says."""

    def __init__(self, diagnostic: str) -> None:
        super().__init__(f"the document could not be set: {diagnostic}")
        self.diagnostic = diagnostic


def _compiled(template: str, data: str, fonts: Sequence[str]) -> bytes:
    import typst

    try:
        return typst.compile(
            typst_source(template),
            format="pdf",
            sys_inputs={"document": data},
            font_paths=typst.Fonts(font_paths=list(fonts)),
            pdf_standards=PDF_STANDARD,
            timestamp=0,
        )
    except typst.TypstError as error:
        raise TypstFailure(error.diagnostic) from error


def typst_source(template: str) -> bytes:
    """A template behind what all templates share: one source, so nothing is read by path."""
    folder = files("billing_pipeline.documents") / "templates"
    return b"".join((folder / name).read_bytes() for name in ("page.typ", f"{template}.typ"))


def missing_characters(diagnostic: str) -> str:
    """The characters that Typst found in no font, each once, in their order."""
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
