"""Keys of the service."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from camtrap_tf.errors import SettingError
from camtrap_tf.serving.access import ApiKeys
from camtrap_tf.serving.app import create_app
from tests.factories import make_jpeg
from tests.unit.serving.support import FakeBackend

KEY, OTHER = "k" * 20, "ключ-" + "o" * 20


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    """A service that two keys open."""
    file = tmp_path / "keys.txt"
    file.write_text(f"# the museum\n{KEY}\n\n  {OTHER}  \n", encoding="utf-8")
    return TestClient(create_app(FakeBackend(), keys=ApiKeys.read(file)), raise_server_exceptions=False)


def post(client: TestClient, query: str = "", **headers: str) -> tuple[int, str | None]:
    """Asks; returns the status and the code of the error, if it is one."""
    reply = client.post(f"/identify{query}", files={"image": ("a.jpg", make_jpeg(32, 32))}, headers=headers)
    return reply.status_code, reply.json().get("error", {}).get("code")


def test_a_key_opens_the_service(client: TestClient) -> None:
    """In the query, as c4c clients send it, or in either header."""
    assert post(client, f"?api-key={KEY}") == (200, None)
    assert post(client, f"?lang=fr&api-key={OTHER}") == (200, None)
    assert post(client, **{"X-API-Key": KEY}) == (200, None)
    assert post(client, Authorization=f"Bearer {KEY}") == (200, None)


def test_without_the_right_key_nothing_is_identified(client: TestClient) -> None:
    """No key is 401, a wrong one 403, a part of one too; a picture is not even read."""
    assert post(client) == (401, "no_key")
    assert post(client, "?api-key=") == (401, "no_key")
    assert post(client, Authorization=f"Basic {KEY}") == (401, "no_key")
    assert post(client, f"?api-key={KEY[:-1]}") == (403, "bad_key")
    assert client.get("/health").status_code == 200


def test_a_service_without_keys_is_open() -> None:
    """A key that a client sends all the same does no harm."""
    client = TestClient(create_app(FakeBackend()))
    assert post(client) == (200, None)
    assert post(client, "?api-key=anything") == (200, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nothing\n", "has no key"),
        ("short\n", "line 1: a key has 16 or more characters"),
        (f"{KEY}\ntwo words are no key\n", "line 2"),
    ],
)
def test_a_file_that_is_no_list_of_keys(tmp_path: Path, text: str, said: str) -> None:
    """The message names the line; the key itself is not shown."""
    file = tmp_path / "keys.txt"
    file.write_text(text)
    with pytest.raises(SettingError, match=said) as caught:
        ApiKeys.read(file)
    assert "two words" not in str(caught.value)


def test_an_absent_file(tmp_path: Path) -> None:
    """A setting that names no file stops the service before it starts."""
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        ApiKeys.read(tmp_path / "none.txt")
