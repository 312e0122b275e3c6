"""Machine-readable labels that say a picture is AI-generated: written into the file, read back.

One XMP packet carries both: the `AIGC` property of the Chinese labelling measures
(GB 45438-2025, TC260-PG-20259A) and the IPTC digital source type that EU rules build on. The
label that people see on the picture is not this module's job.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast
from xml.etree import ElementTree
from xml.sax.saxutils import escape

#: The keyword of the PNG text chunk that holds XMP.
PNG_KEYWORD = "XML:com.adobe.xmp"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
AIGC_KEYS = (
    "Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2",
)

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_TC260 = "http://www.tc260.org.cn/ns/AIGC/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels found in a file. A delivered file has exactly one of each."""

    aigc: tuple[dict[str, str], ...]
    source_types: tuple[str, ...]


def xmp_packet(*, producer: str, produce_id: str) -> str:
    """The XMP packet for one generated picture.

    `producer` is the provider's code (ContentProducer), `produce_id` the picture's own number
    (ProduceID). The studio delivers what it generated itself, so it names itself as propagator too.
    """
    values = ("1", producer, produce_id, "", producer, produce_id, "")
    aigc = json.dumps(dict(zip(AIGC_KEYS, values, strict=True)), ensure_ascii=False, separators=(",", ":"))
    if _NOT_XML.search(aigc):
        raise ValueError("a label holds a character that XML can't")
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        f'<rdf:RDF xmlns:rdf="{_RDF}">\n'
        f'<rdf:Description rdf:about="" xmlns:TC260="{_TC260}" xmlns:Iptc4xmpExt="{_IPTC}">\n'
        f"<TC260:AIGC>{escape(aigc)}</TC260:AIGC>\n"
        f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>\n"
        "</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    )


def read_labels(png: bytes) -> Labels:
    """Every label in a PNG file, in file order. Raises ValueError when it can't be read as PNG or XMP."""
    aigc: list[dict[str, str]] = []
    sources: list[str] = []
    for packet in _packets(png):
        if "<!DOCTYPE" in packet:
            raise ValueError("the XMP packet declares a document type")
        try:
            root = ElementTree.fromstring(packet)
        except ElementTree.ParseError as error:
            raise ValueError("the XMP packet is not well-formed") from error
        for node in root.iter(f"{{{_RDF}}}Description"):
            # XMP writes a simple property as an element or as an attribute.
            aigc += [_aigc(value) for value in _values(node, f"{{{_TC260}}}AIGC")]
            sources += _values(node, f"{{{_IPTC}}}DigitalSourceType")
    return Labels(tuple(aigc), tuple(sources))


def _values(node: ElementTree.Element, tag: str) -> list[str]:
    found = [child.text or "" for child in node.findall(tag)]
    return [*found, node.attrib[tag]] if tag in node.attrib else found


def _aigc(value: str) -> dict[str, str]:
    found = json.loads(value)
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise ValueError("the AIGC label is not an object of strings")
    return cast(dict[str, str], found)


def _packets(png: bytes) -> Iterator[str]:
    for kind, body in _chunks(png):
        keyword, _null, rest = body.partition(b"\0")
        if kind != b"iTXt" or keyword != PNG_KEYWORD.encode():
            continue
        if rest[:1] != b"\0":
            raise ValueError("the XMP packet is compressed, which XMP forbids in PNG")
        # compression flag and method, then language and translated keyword, each ended by a zero
        yield rest[2:].split(b"\0", 2)[2].decode("utf-8").lstrip("\ufeff")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(_SIGNATURE):
        raise ValueError("not a PNG file")
    at = len(_SIGNATURE)
    while at < len(png):
        if at + 12 > len(png):
            raise ValueError("the PNG file is cut short")
        (length,) = struct.unpack_from(">I", png, at)
        end = at + 8 + length
        if end + 4 > len(png):
            raise ValueError("the PNG file is cut short")
        yield png[at + 4:at + 8], png[at + 8:end]
        at = end + 4
