"""Elements of an XML document, and the document as bytes.

What belongs here: adding an element. What does not: which elements there are (``ubl``, ``cii``).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass


@dataclass(frozen=True)
class Elements:
    """Adds elements of one vocabulary, with the prefixes of their namespaces: elements with text,
    and groups that contain other elements."""

    texts: str
    groups: str

    def text(self, parent: ET.Element, name: str, text: str, **attributes: str) -> ET.Element:
        element = ET.SubElement(parent, f"{self.texts}:{name}", attributes)
        element.text = text
        return element

    def group(self, parent: ET.Element, *names: str) -> ET.Element:
        """Add these elements, each inside the one before; returns the innermost."""
        for name in names:
            parent = ET.SubElement(parent, f"{self.groups}:{name}")
        return parent


def as_bytes(root: ET.Element) -> bytes:
    """The document, indented."""
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{text}\n".encode()
