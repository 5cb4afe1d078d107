"""Factur-X, in Germany ZUGFeRD: a PDF/A-3 for people that carries the same invoice as XML.

What belongs here: the PDF with its attachment, and the metadata by which programs find it. What
does not: the XML (``cii``) and the page (``rendering``).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from billing_pipeline.documents import rendering
from billing_pipeline.documents.cii import cii
from billing_pipeline.documents.electronic import electronic_invoice
from billing_pipeline.documents.issued import IssuedDocument
from billing_pipeline.documents.issued_page import issued_page

FILE = "factur-x.xml"
# Where Typst lists metadata schemas that are not part of PDF/A.
_SCHEMAS = "<pdfaExtension:schemas><rdf:Bag>"
_NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
# The metadata that Factur-X requires, with the description that PDF/A requires for any schema that
# is not its own.
_PROPERTIES = {
    "DocumentFileName": (FILE, "name of the embedded XML invoice file"),
    "DocumentType": ("INVOICE", "INVOICE"),
    "Version": ("1.0", "version of the Factur-X XML schema"),
    "ConformanceLevel": ("EN 16931", "profile of the embedded XML invoice"),
}


def factur_x(issued: IssuedDocument, fonts: Sequence[str] = ()) -> bytes:
    """The document as PDF/A-3 with its XML inside; the same document gives the same bytes.

    Raises `NotExpressibleError`, and what `rendering.pdf` raises.
    """
    attached = cii(electronic_invoice(issued))
    page: dict[str, Any] = issued_page(issued)
    content, _ = rendering.pdf("invoice", page, fonts, attached=(FILE, attached))
    return _with_metadata(content)


def _with_metadata(content: bytes) -> bytes:
    """The file with an update at its end that replaces only the metadata."""
    from pypdf import PdfWriter
    from pypdf.generic import StreamObject

    writer = PdfWriter(io.BytesIO(content), incremental=True)
    stream = writer.root_object["/Metadata"].get_object()
    if not isinstance(stream, StreamObject):
        raise TypeError("the PDF has no metadata")
    text = stream.get_data().decode("utf-8")
    for before, more in ((_SCHEMAS, _schema()), ("", _values())):
        place = text.index(before) + len(before) if before else text.index("</rdf:RDF>")
        text = text[:place] + more + text[place:]
    stream.set_data(text.encode("utf-8"))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _values() -> str:
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, (value, _) in _PROPERTIES.items())
    return f'<rdf:Description rdf:about="" xmlns:fx="{_NAMESPACE}">{values}</rdf:Description>'


def _schema() -> str:
    described = "".join(
        '<rdf:li rdf:parseType="Resource">'
        "<pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{text}</pdfaProperty:description>"
        f"<pdfaProperty:name>{name}</pdfaProperty:name>"
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType></rdf:li>"
        for name, (_, text) in _PROPERTIES.items()
    )
    return (
        '<rdf:li rdf:parseType="Resource">'
        "<pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>"
        f"<pdfaSchema:namespaceURI>{_NAMESPACE}</pdfaSchema:namespaceURI>"
        "<pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{described}</rdf:Seq></pdfaSchema:property></rdf:li>"
    )
