"""Vernacular names in the language of the client."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from camtrap_tf.errors import SettingError
from camtrap_tf.serving.app import create_app
from camtrap_tf.serving.names import VernacularNames
from tests.factories import make_jpeg
from tests.unit.serving.support import CLASSES, FakeBackend

TABLE = "class,lang,name\nzebra,en,plains zebra\nzebra,fr,zèbre\nimpala,FR,impala commun\n"


def table(folder: Path, text: str) -> Path:
    """Writes a table."""
    path = folder / "names.csv"
    path.write_text(text, encoding="utf-8")
    return path


def names_of(client: TestClient, query: str, **fields: str) -> dict[str, str | None]:
    """Asks; returns class → vernacular name, None where there is no such key."""
    reply = client.post(f"/identify{query}", files={"image": ("a.jpg", make_jpeg(32, 32))}, data=fields)
    return {result["name"]: result.get("vernacularName") for result in reply.json()["results"]}


def test_names_follow_the_language(tmp_path: Path) -> None:
    """The language asked for, else English, else an empty text; in the query or the form, with or without a region."""
    names = VernacularNames.read(table(tmp_path, TABLE), CLASSES)
    client = TestClient(create_app(FakeBackend(), names=names))
    french = {"zebra": "zèbre", "impala": "impala commun", "blank": ""}
    assert names_of(client, "?lang=fr") == french
    assert names_of(client, "", lang="fr-CA") == french
    assert names_of(client, "?lang=de") == {"zebra": "plains zebra", "impala": "", "blank": ""}
    assert names_of(client, "") == names_of(client, "?lang=en") == names_of(client, "?lang=")


def test_without_a_table_there_are_no_names() -> None:
    """The key is absent in every language."""
    client = TestClient(create_app(FakeBackend()))
    assert names_of(client, "?lang=fr") == {"zebra": None, "impala": None, "blank": None}


def test_what_is_no_language_is_refused() -> None:
    """The message says what was expected."""
    reply = TestClient(create_app(FakeBackend())).post("/identify?lang=5%20", files={"image": ("a.jpg", make_jpeg(32, 32))})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "bad_value")


def test_rows_of_unknown_classes_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A class that the model lacks is a warning with the nearest one."""
    VernacularNames.read(table(tmp_path, TABLE + "zebr,en,zebra\n"), CLASSES)
    assert "1 rows name no class, e.g. 'zebr'; did you mean 'zebra'?" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "camtrap_tf"):
        VernacularNames.read(table(tmp_path, TABLE), CLASSES)
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class,name\nzebra,x\n", "no column 'lang'"),
        (TABLE + "zebra,fr,cheval\n", "line 5: 'zebra' has another name in 'fr'"),
        (TABLE + "zebra,french,cheval\n", "line 5: lang 'french'"),
        ("", "no column 'class'"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    """The message names the file and the line."""
    with pytest.raises(SettingError, match=said):
        VernacularNames.read(table(tmp_path, text), CLASSES)
