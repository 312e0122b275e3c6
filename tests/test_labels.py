from __future__ import annotations

import json
from io import BytesIO

import pytest
from PIL import Image

from studio import imaging, labels

PRODUCER = "001191110000MA00000000010001"


def labelled(**given: str) -> bytes:
    packet = labels.xmp_packet(**({"producer": PRODUCER, "produce_id": "pic-1"} | given))
    return imaging.encode_png(Image.new("RGB", (8, 8)), xmp=packet)


def test_a_file_read_back_has_exactly_one_label_of_each_kind() -> None:
    found = labels.read_labels(labelled())
    assert found.source_types == (labels.SOURCE_TYPE,)
    (aigc,) = found.aigc
    assert tuple(aigc) == labels.AIGC_KEYS
    assert aigc["Label"] == "1" and aigc["ContentProducer"] == PRODUCER and aigc["ProduceID"] == "pic-1"


def test_pillow_finds_the_packet_and_the_same_pixels() -> None:
    with Image.open(BytesIO(labelled())) as image:
        assert image.tobytes() == bytes(8 * 8 * 3)
        assert "TC260:AIGC" in image.info[labels.PNG_KEYWORD]


@pytest.mark.parametrize("text", ['a "quoted" name', "<&>]]>", "公司 √", "\\"])
def test_any_text_survives(text: str) -> None:
    (aigc,) = labels.read_labels(labelled(producer=text, produce_id=text)).aigc
    assert aigc["ContentProducer"] == aigc["ProduceID"] == aigc["ContentPropagator"] == text


def test_a_second_label_is_seen() -> None:
    png = labelled()
    at = png.index(b"iTXt") - 4
    length = int.from_bytes(png[at:at + 4], "big") + 12
    assert len(labels.read_labels(png[:at + length] + png[at:]).aigc) == 2


def test_a_property_written_as_an_attribute_is_seen() -> None:
    packet = labels.xmp_packet(producer="p", produce_id="i")
    start, end = packet.index("<TC260:AIGC>"), packet.index("</TC260:AIGC>")
    value = packet[start + len("<TC260:AIGC>"):end].replace('"', "&quot;")
    packet = packet.replace('rdf:about=""', f'rdf:about="" TC260:AIGC="{value}"')
    packet = packet[:packet.index("<TC260:AIGC>")] + packet[packet.index("</TC260:AIGC>") + len("</TC260:AIGC>"):]
    (aigc,) = labels.read_labels(imaging.encode_png(Image.new("RGB", (1, 1)), xmp=packet)).aigc
    assert json.dumps(aigc) and aigc["ContentProducer"] == "p"


def test_a_plain_file_has_none() -> None:
    found = labels.read_labels(imaging.encode_png(Image.new("RGB", (8, 8))))
    assert found == labels.Labels((), ())


def test_damaged_files_are_refused() -> None:
    png = labelled()
    for broken in (b"", b"GIF89a", png[:40], png[:-6]):
        with pytest.raises(ValueError):
            labels.read_labels(broken)


def test_entities_are_not_expanded() -> None:
    packet = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    with pytest.raises(ValueError, match="document type"):
        labels.read_labels(imaging.encode_png(Image.new("RGB", (1, 1)), xmp=packet))
