"""The HTTP surface: replies, limits, and what hostile clients get."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

from camtrap_tf.errors import ModelError
from camtrap_tf.images.stored_form import to_stored_form
from camtrap_tf.serving.app import create_app
from camtrap_tf.serving.uploads import Limits
from tests.factories import make_jpeg
from tests.unit.serving.support import BOUNDARY, HEADERS, FakeBackend, body, part

PICTURE = make_jpeg(64, 48)
LIMITS = Limits(max_bytes=100_000, max_images=3, max_pixels=10_000, upload_s=5, max_waiting=4)


@pytest.fixture
def backend() -> FakeBackend:
    """A model that answers without TensorFlow."""
    return FakeBackend()


@pytest.fixture
def client(backend: FakeBackend) -> Iterator[TestClient]:
    """The service around it, with small limits."""
    with TestClient(create_app(backend, LIMITS), raise_server_exceptions=False) as client:
        yield client


def send(client: TestClient, *pictures: bytes, **fields: str):
    """Posts pictures the way an HTTP library does."""
    files = [("image", (f"{i}.jpg", data, "image/jpeg")) for i, data in enumerate(pictures)]
    return client.post("/identify", files=files, data=fields)


def test_identify_ranks_the_classes_of_the_first_label(client: TestClient) -> None:
    """Without a label the first head answers, most probable class first, scores as numbers in [0, 1]."""
    reply = send(client, PICTURE).json()
    assert [result["name"] for result in reply["results"]] == ["zebra", "impala", "blank"]
    assert [result["score"] for result in reply["results"]] == pytest.approx([0.7, 0.2, 0.1])
    assert reply["label"] == "species"
    assert reply["labels"]["count"] == [{"name": "1", "score": 0.75}, {"name": "2", "score": 0.25}]
    assert reply["model"] == {"name": "fake", "version": "7", "model_sha256": "d" * 64}


def test_blank_of_a_sigmoid_head_counts_among_the_results(backend: FakeBackend) -> None:
    """It comes first where no class reaches one half, under its name, and is one of `nb_results`; else it is absent."""
    backend.card = dataclasses.replace(backend.card, blanks={"count": "nothing"})
    backend.answers = {"species": np.float32([[0.2, 0.3, 0.1]]), "count": np.float32([[0.2, 0.4]])}
    with TestClient(create_app(backend, LIMITS)) as client:
        reply = send(client, PICTURE, label="count").json()
        assert [(one["name"], one["score"]) for one in reply["results"]] == [("nothing", 0.6), ("2", 0.4), ("1", 0.2)]
        assert len(reply["labels"]["species"]) == 3
        assert [one["name"] for one in send(client, PICTURE, label="count", nb_results="1").json()["results"]] == ["nothing"]
        backend.answers = {**backend.answers, "count": np.float32([[0.2, 0.5]])}
        assert [one["name"] for one in send(client, PICTURE, label="count").json()["results"]] == ["2", "1"]


def test_results_have_the_lists_that_the_c4c_client_reads(client: TestClient) -> None:
    """Every result has a list of illustrations: the web component stops working without one."""
    results = send(client, PICTURE, info="false").json()["results"]
    assert [result["images"] for result in results] == [[]] * len(results) != []


def test_label_number_of_results_and_info_are_obeyed(client: TestClient) -> None:
    """`label`, `nb_results` and `info` work as form fields."""
    reply = send(client, PICTURE, label="count", nb_results="1", info="false").json()
    assert reply == {"status": "ok", "label": "count", "results": [{"name": "1", "score": 0.75, "images": []}]}


def test_query_parameters_are_understood(client: TestClient) -> None:
    """The same settings work in the query; a form field wins."""
    files = {"images": ("a.jpg", PICTURE)}
    reply = client.post("/identify?label=count&nb_results=2&lang=en", files=files, data={"nb_results": "1"}).json()
    assert (reply["label"], len(reply["results"])) == ("count", 1)


def test_several_pictures_are_averaged() -> None:
    """Probabilities of the frames of an event are averaged class by class, then ranked."""
    answers = {"species": np.float32([[0.8, 0.2, 0.0], [0.0, 0.4, 0.6]]), "count": np.float32([[1, 0], [0, 1]])}
    with TestClient(create_app(FakeBackend(answers), LIMITS)) as client:
        reply = send(client, PICTURE, make_jpeg(seed=2)).json()
    scores = {result["name"]: result["score"] for result in reply["results"]}
    assert scores == pytest.approx({"blank": 0.4, "impala": 0.3, "zebra": 0.3})
    assert reply["images"] == 2


def test_equal_scores_keep_the_order_of_the_classes(client: TestClient, backend: FakeBackend) -> None:
    """Ties are broken by class index, so replies are repeatable."""
    backend.answers = {"species": np.float32([[0.25, 0.5, 0.25]]), "count": np.float32([[0.5, 0.5]])}
    assert [result["name"] for result in send(client, PICTURE).json()["results"]] == ["impala", "blank", "zebra"]


def test_the_model_sees_the_stored_form(client: TestClient, backend: FakeBackend) -> None:
    """The bytes handed to the model are those that a shard would hold, in the order they were sent."""
    pictures = [make_jpeg(90, 70, seed=seed) for seed in (1, 2)]
    send(client, *pictures)
    assert backend.seen == [to_stored_form(picture, backend.card.stored_form) for picture in pictures]


def test_inference_runs_in_a_worker_thread(client: TestClient, backend: FakeBackend) -> None:
    """The event loop is not blocked while the model computes."""
    loops: list[threading.Thread] = []

    @client.app.get("/loop")
    async def loop() -> None:
        """Remembers the thread of the event loop."""
        loops.append(threading.current_thread())

    client.get("/loop")
    send(client, PICTURE)
    assert backend.thread is not loops[0]


def test_health_and_classes_describe_the_model(client: TestClient) -> None:
    """/health names model, version and labels; /classes the classes in index order."""
    assert client.get("/health").json() == {
        "status": "ok",
        "model": "fake",
        "version": "7",
        "model_sha256": "d" * 64,
        "labels": ["species", "count"],
    }
    assert client.get("/classes").json() == {"species": ["blank", "impala", "zebra"], "count": ["1", "2"]}


def test_openapi_shows_the_upload(client: TestClient) -> None:
    """The generated API description knows the multipart field that the route reads by itself."""
    operation = client.get("/openapi.json").json()["paths"]["/identify"]["post"]
    assert "image" in operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert client.get("/docs").status_code == 200


HOSTILE = {
    "nothing at all": (b"", {}, 415, "no_form", None),
    "JSON": (b'{"image": 1}', {"content-type": "application/json"}, 415, "no_form", None),
    "no boundary": (body(part("image", PICTURE)), {"content-type": "multipart/form-data"}, 400, "broken_form", None),
    "an endless boundary": (b"x", {"content-type": "multipart/form-data; boundary=" + "x" * 5000}, 400, "broken_form", None),
    "not a form": (b"abc" * 50, HEADERS, 400, "broken_form", None),
    "a form cut off": (part("image", PICTURE, filename="a.jpg")[:-30], HEADERS, 400, "broken_form", None),
    "an empty form": (body(), HEADERS, 400, "no_image", None),
    "text only": (body(part("label", b"species")), HEADERS, 400, "no_image", None),
    "an empty picture": (body(part("image", b"", filename="a.jpg")), HEADERS, 400, "empty_file", 0),
    "text for a picture": (body(part("image", b"../../etc/passwd")), HEADERS, 415, "not_a_picture", 0),
    "second one broken": (
        body(part("image", PICTURE, filename="a"), part("image", b"GIF89a" + b"\0" * 9, filename="b")),
        HEADERS,
        (400, 415),
        None,
        1,
    ),
    "cut off picture": (body(part("image", make_jpeg(90, 90)[:-900], filename="a")), HEADERS, 400, "truncated", 0),
    "too many pixels": (body(part("image", make_jpeg(200, 200), filename="a")), HEADERS, 413, "too_many_pixels", 0),
    "too many pictures": (body(*[part("image", PICTURE, filename="a")] * 4), HEADERS, 413, "too_many_images", None),
    "too many bytes": (body(part("image", b"x" * 100_001, filename="a")), HEADERS, 413, "too_large", None),
    "unknown field": (body(part("lable", b"species")), HEADERS, 422, "unknown_field", None),
    "a field without name": (body(part("", b"x")), HEADERS, 422, "unknown_field", None),
    "an endless field name": (body(part("x" * 3000, b"x")), HEADERS, 422, "unknown_field", None),
    "an endless header": (body(part("x" * 9000, b"x")), HEADERS, 400, "broken_form", None),
    "an endless field": (body(part("label", b"x" * 5000)), HEADERS, 413, "too_large", None),
    "a field twice": (body(part("label", b"count"), part("label", b"count")), HEADERS, 422, "repeated_field", None),
    "unknown label": (body(part("label", b"specis"), part("image", PICTURE)), HEADERS, 422, "unknown_label", None),
    "no results": (body(part("nb_results", b"0"), part("image", PICTURE)), HEADERS, 422, "bad_value", None),
    "odd number": (body(part("nb_results", "²".encode()), part("image", PICTURE)), HEADERS, 422, "bad_value", None),
    "odd truth": (body(part("info", b"maybe"), part("image", PICTURE)), HEADERS, 422, "bad_value", None),
    "odd bytes in text": (body(part("label", b"\xff\xfe\0"), part("image", PICTURE)), HEADERS, 422, "unknown_label", None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_uploads_get_one_line_of_json(client: TestClient, name: str) -> None:
    """Whatever is sent, the reply is 4xx JSON with a code, one line and the picture that is meant; the service lives on."""
    content, headers, status, code, image = HOSTILE[name]
    reply = client.post("/identify", content=content, headers=headers)
    assert reply.status_code in (status if isinstance(status, tuple) else (status,))
    error = reply.json()["error"]
    assert code is None or error["code"] == code
    assert error["image"] == image
    assert error["message"]
    assert "\n" not in error["message"]
    assert "Traceback" not in reply.text
    assert send(client, PICTURE).status_code == 200


def test_too_many_bytes_without_content_length(client: TestClient, backend: FakeBackend) -> None:
    """The limit holds while streaming, for a client that does not say how much it will send."""

    def endless() -> Iterator[bytes]:
        """Yields an upload, piece by piece."""
        yield part("image", b"", filename="a.jpg")[:-2]
        for _ in range(40):
            yield b"x" * 10_000

    reply = client.post("/identify", content=endless(), headers=HEADERS)
    assert "content-length" not in reply.request.headers
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "too_large")
    assert backend.seen == []


def test_unknown_names_come_with_the_nearest_one(client: TestClient) -> None:
    """A misspelt label, field or parameter is answered with the right one."""
    assert "'species'" in send(client, PICTURE, label="specis").json()["error"]["message"]
    assert "'label'" in send(client, PICTURE, lable="species").json()["error"]["message"]
    reply = client.post("/identify?nb_result=3", files={"image": PICTURE})
    assert (reply.status_code, "'nb_results'" in reply.json()["error"]["message"]) == (422, True)


def test_more_requests_than_allowed_are_sent_away(backend: FakeBackend) -> None:
    """With all places taken a request gets 503 and is told to come back."""
    with TestClient(create_app(backend, Limits(max_waiting=0))) as client:
        reply = send(client, PICTURE)
    assert (reply.status_code, reply.json()["error"]["code"], reply.headers["retry-after"]) == (503, "busy", "2")


def test_answers_that_are_no_numbers_are_not_sent(client: TestClient, backend: FakeBackend) -> None:
    """NaN, which JSON cannot say, is an error of the model and not of the reply."""
    backend.answers = {"species": np.float32([[np.nan, 0, 0]]), "count": np.float32([[1, 0]])}
    reply = send(client, PICTURE)
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "no_number")


@pytest.mark.parametrize(
    ("error", "code"), [(ModelError("line one\nline two"), "model_error"), (RuntimeError("secret"), "internal")]
)
def test_errors_of_the_model_are_one_line(
    client: TestClient, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    """An exception while computing is a 500 in the same form, and says nothing of the inside."""

    def broken(_: object) -> None:
        """Fails."""
        raise error

    monkeypatch.setattr(backend, "probabilities", broken)
    reply = send(client, PICTURE)
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, code)
    assert "secret" not in reply.text
    assert "\n" not in reply.json()["error"]["message"]


def test_unknown_pages_and_methods_have_the_same_form(client: TestClient) -> None:
    """404 and 405 are JSON errors too."""
    assert client.get("/nowhere").json()["error"]["code"] == "no_such_page"
    reply = client.get("/identify")
    assert (reply.status_code, reply.json()["error"]["code"]) == (405, "http_error")


@pytest.mark.parametrize("path", ["/identify/", "//identify", "/health/", "/%0a%0d", "/../../etc/passwd", "/\udcff"])
def test_odd_paths_and_hosts_are_errors_of_one_form(client: TestClient, path: str) -> None:
    """Paths that lead nowhere are 404 whatever the Host header says: nothing is built from either."""
    reply = client.get(path.encode("utf-8", "surrogateescape").decode("latin-1"), headers={"host": "[bad"})
    assert reply.status_code in (404, 400)
    assert "\n" not in reply.json()["error"]["message"]
    assert "location" not in reply.headers


def test_metrics_count_requests_failures_and_time(client: TestClient) -> None:
    """Prometheus sees requests by route and status, refusals by reason, a latency histogram and pictures."""
    send(client, PICTURE, PICTURE)
    send(client, b"")
    client.get("/some/hidden/path")
    text = client.get("/metrics").text
    assert 'camtrap_requests_total{route="/identify",status="200"} 1.0' in text
    assert 'camtrap_requests_total{route="/identify",status="400"} 1.0' in text
    assert 'camtrap_failures_total{reason="empty_file"} 1.0' in text
    assert 'camtrap_request_seconds_bucket{le="+Inf",route="/identify"} 2.0' in text
    assert "camtrap_pictures_total 2.0" in text
    assert "camtrap_waiting 0.0" in text
    assert "hidden" not in text


def test_service_does_not_log_what_clients_send(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """A refused request leaves no line in the log: clients must not be able to fill it."""
    with caplog.at_level(logging.DEBUG, logger="camtrap_tf"):
        reply = client.post("/identify", content=b"x" + BOUNDARY.encode(), headers=HEADERS)
    assert reply.status_code == 400
    assert not [record for record in caplog.records if record.name.startswith("camtrap_tf")]
