"""Pictures with a box, as older servers of crop classifiers take them."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from camtrap_tf.images.stored_form import StoredForm, to_stored_form
from camtrap_tf.serving.access import ApiKeys, _digest
from camtrap_tf.serving.app import create_app
from camtrap_tf.serving.uploads import Limits
from tests.factories import make_jpeg
from tests.unit.serving.support import CLASSES, HEADERS, FakeBackend, body, part

PICTURE = make_jpeg(100, 60)
LIMITS = Limits(max_bytes=100_000, max_pixels=10_000, upload_s=5, max_waiting=4)


@pytest.fixture
def backend() -> FakeBackend:
    """A model that answers without TensorFlow, and keeps pictures as large as they are."""
    backend = FakeBackend()
    backend.card = dataclasses.replace(backend.card, stored_form=StoredForm(side_smallest_px=None, quality=100))
    return backend


@pytest.fixture
def client(backend: FakeBackend) -> TestClient:
    """The service around it, with small limits."""
    return TestClient(create_app(backend, LIMITS), raise_server_exceptions=False)


def encoded(picture: bytes = PICTURE) -> str:
    """Returns a picture in base 64."""
    return base64.b64encode(picture).decode()


def ask(client: TestClient, path: str = "/invocations", **values: Any) -> Any:
    """Posts JSON; `image` is a picture unless it is given."""
    return client.post(path, json={"image": encoded(), **values})


def refusal(reply: Any) -> tuple[int, str]:
    """Returns status and code of an error."""
    return reply.status_code, reply.json()["error"]["code"]


@pytest.mark.parametrize("path", ["/invocations", "/predictions/mira", "/predictions/any%20name"])
def test_classes_come_in_descending_order(client: TestClient, path: str) -> None:
    """The reply is class → probability of species, the likeliest first, under the paths of both kinds of servers."""
    reply = ask(client, path, bbox=[0.1, 0.1, 0.5, 0.5])
    assert reply.status_code == 200
    assert list(reply.json()) == ["zebra", "impala", "blank"]
    assert list(reply.json().values()) == pytest.approx([0.7, 0.2, 0.1])


def test_species_answers_wherever_it_stands_unless_another_label_is_named(client: TestClient, backend: FakeBackend) -> None:
    """Without a name it is species, without species the first label, else the one asked for."""
    assert ask(client, "/invocations?label=count").json() == {"1": 0.75, "2": 0.25}
    backend.card = dataclasses.replace(backend.card, classes=dict(reversed(CLASSES.items())))
    with TestClient(create_app(backend, LIMITS)) as other:
        assert "zebra" in ask(other).json()
    backend.card = dataclasses.replace(backend.card, classes={"count": ("1", "2")})
    with TestClient(create_app(backend, LIMITS)) as other:
        assert list(ask(other).json()) == ["1", "2"]


def corners(tmp: bytes) -> np.ndarray:
    """Returns the pixels of a picture as they are decoded by Pillow."""
    return np.asarray(Image.open(io.BytesIO(tmp))).astype(int)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("box_px", "window"),
    [((10, 20, 20, 10), (10, 15, 20, 20)), ((2, 10, 8, 40), (0, 10, 40, 40)), ((90, 10, 8, 40), (74, 10, 40, 40))],
)
def test_the_model_sees_the_classic_square(
    client: TestClient, backend: FakeBackend, box_px: tuple[int, ...], window: tuple[int, ...], as_text: bool
) -> None:
    """The golden windows of the classic cropper, black where the last sticks out; boxes as lists or their texts."""
    x, y, width, height = box_px
    # A little inside the pixel, so that its number is what is left when the rest is cut off.
    box = [(y + 0.01) / 60, (x + 0.01) / 100, (y + height + 0.05) / 60, (x + width + 0.05) / 100]
    reply = ask(client, bbox=str(box) if as_text else box)
    assert reply.status_code == 200, reply.text
    (seen,) = backend.seen
    left, top, side, _ = window
    whole = np.zeros((200, 200, 3), int)
    whole[:60, :100] = corners(PICTURE)
    expected = whole[top : top + side, left : left + side]
    found = corners(seen)
    assert found.shape == expected.shape
    assert abs(found - expected).mean() < 3
    if left == 74:
        assert found[:, 27:].max() < 20 < expected[:, :25].mean()


@pytest.mark.parametrize("values", [{}, {"bbox": None}])
def test_without_a_box_the_whole_picture_is_meant(client: TestClient, backend: FakeBackend, values: dict[str, None]) -> None:
    """The very bytes that `/identify` would show the model."""
    assert ask(client, **values).status_code == 200
    assert backend.seen == [to_stored_form(PICTURE, backend.card.stored_form)]


def test_pictures_are_upright_before_they_are_cut(client: TestClient, backend: FakeBackend) -> None:
    """A box is of the picture as people see it: turned by its EXIF, its upper half is where it is shown."""
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[:, 50:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown, the right half is the lower one
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", exif=exif, quality=95)
    ask(client, image=encoded(buffer.getvalue()), bbox=[0.7, 0.2, 0.9, 0.5])
    assert corners(backend.seen[0]).min() > 200


def test_blank_of_a_sigmoid_head_comes_first(client: TestClient, backend: FakeBackend) -> None:
    """Where no class is there, nothing is the likeliest answer, under its own name."""
    backend.card = dataclasses.replace(backend.card, blanks={"species": "nothing"})
    backend.answers = {"species": np.float32([[0.2, 0.3, 0.1]]), "count": np.float32([[0.5, 0.5]])}
    with TestClient(create_app(backend, LIMITS)) as other:
        assert list(ask(other).json()) == ["nothing", "impala", "blank", "zebra"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"image": None}, (400, "no_image")),
        ({"image": 5}, (422, "bad_value")),
        ({"image": "???"}, (400, "broken_base64")),
        ({"image": "AAA"}, (400, "broken_base64")),
        ({"image": "ä"}, (400, "broken_base64")),
        ({"image": ""}, (400, "empty_file")),
        ({"image": encoded(b"no picture")}, (415, "not_a_picture")),
        ({"image": encoded(make_jpeg(101, 100))}, (413, "too_many_pixels")),
        ({"image": encoded(make_jpeg(101, 100)), "bbox": [0, 0, 0.1, 0.1]}, (413, "too_many_pixels")),
        ({"bbox": [0, 0, 1]}, (422, "box_not_numbers")),
        ({"bbox": "the left one"}, (422, "box_not_numbers")),
        ({"bbox": ""}, (422, "box_not_numbers")),
        ({"bbox": [0, 0, "1", 1]}, (422, "box_not_numbers")),
        ({"bbox": {"x": 0}}, (422, "box_not_numbers")),
        ({"bbox": [0, 0, True, 1]}, (422, "box_not_numbers")),
        ({"bbox": [10, 20, 50, 40]}, (422, "box_absolute")),
        ({"bbox": [0.5, 0.1, 0.2, 0.4]}, (422, "box_empty")),
        ({"bbox": [1.2, 0, 1.5, 1]}, (422, "box_outside")),
        ({"box": [0, 0, 1, 1]}, (422, "unknown_field")),
    ],
)
def test_wrong_values_have_a_code(client: TestClient, values: dict[str, Any], expected: tuple[int, str]) -> None:
    """Whatever is wrong with picture or box is a 4xx of the form that all errors have."""
    assert refusal(ask(client, **values)) == expected


def test_messages_say_what_to_send(client: TestClient) -> None:
    """Boxes in px are named as that, with the form that is expected."""
    message = ask(client, bbox=[10, 20, 50, 40]).json()["error"]["message"]
    assert message == (
        "bbox [10, 20, 50, 40] is in px where numbers in [0, 1] are expected; bbox is [ymin, xmin, ymax, xmax], shares of the "
        "picture in [0, 1]"
    )
    assert "did you mean 'bbox'" in ask(client, box=[0, 0, 1, 1]).json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", (400, "broken_json")),
        (b"{", (400, "broken_json")),
        (b"\xff", (400, "broken_json")),
        (b"[" * 50_000, (400, "broken_json")),
        (b"[1]", (422, "bad_value")),
        (b'{"image": "' + b"A" * 100_001 + b'"}', (413, "too_large")),
    ],
)
def test_bodies_that_are_no_such_json(client: TestClient, content: bytes, expected: tuple[int, str]) -> None:
    """Broken, deeply nested and large bodies are refused, without a declared type as with one."""
    assert refusal(client.post("/invocations", content=content)) == expected


def test_forms_are_told_where_to_go(client: TestClient) -> None:
    """A multipart form is no JSON: the message names the page for it."""
    reply = client.post("/invocations", content=body(part("image", PICTURE, filename="a.jpg")), headers=HEADERS)
    assert refusal(reply) == (415, "no_json")
    assert "POST /identify" in reply.json()["error"]["message"]


def test_keys_labels_and_parameters_are_checked(backend: FakeBackend, client: TestClient) -> None:
    """The routes are as closed as `/identify` is."""
    key = "0123456789abcdef"
    with TestClient(create_app(backend, LIMITS, keys=ApiKeys((_digest(key),)))) as closed:
        assert refusal(ask(closed)) == (401, "no_key")
        assert ask(closed, f"/invocations?api-key={key}").status_code == 200
    assert refusal(ask(client, "/invocations?label=specis")) == (422, "unknown_label")
    assert refusal(ask(client, "/invocations?nb_results=1")) == (422, "unknown_field")


def test_base64_may_have_line_breaks(client: TestClient) -> None:
    """As `base64` without options writes it."""
    assert ask(client, image=base64.encodebytes(PICTURE).decode()).status_code == 200


def test_requests_are_counted_and_health_is_told(client: TestClient) -> None:
    """Metrics know the routes by their patterns; `GET /ping` is 200."""
    ask(client, "/predictions/some-name")
    assert client.get("/ping").json() == {"status": "Healthy"}
    text = client.get("/metrics").text
    assert 'camtrap_requests_total{route="/predictions/{model}",status="200"} 1.0' in text
    assert "some-name" not in text
    assert "camtrap_pictures_total 1.0" in text


def test_routes_are_in_the_interface_description(client: TestClient) -> None:
    """OpenAPI has the body with its two keys, the label, and the reply."""
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/invocations", "/predictions/{model}"):
        post = paths[path]["post"]
        assert list(post["requestBody"]["content"]["application/json"]["schema"]["properties"]) == ["image", "bbox"]
        assert "label" in {parameter["name"] for parameter in post["parameters"]}
        assert "413" in post["responses"]
    assert json.dumps(paths["/invocations"]["post"]["responses"]["200"]).count("fox") == 1
