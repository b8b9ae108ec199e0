"""Downloads from object stores, against a real S3 server on this machine (moto)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from camtrap_tf.acquire import engine, object_fetch
from camtrap_tf.acquire.downloading import download_objects, download_urls
from camtrap_tf.cli.main import main
from camtrap_tf.config.download import ObjectsDownloadConfig, UrlsDownloadConfig
from camtrap_tf.errors import SettingError, SourceError
from tests.servers import picture

BUCKET = "pictures"
KEYS = {f"survey/cam{n % 3}/IMG {n} #ü?.jpg": 3000 + n for n in range(12)}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 server with a bucket of pictures in it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    store = client(address)
    store.create_bucket(Bucket=BUCKET)
    for key, size in KEYS.items():
        store.put_object(Bucket=BUCKET, Key=key, Body=picture(key, size))
    store.put_object(Bucket=BUCKET, Key="survey/notes.txt", Body=b"no picture")
    store.put_object(Bucket=BUCKET, Key="survey10/other.jpg", Body=picture("other"), ACL="public-read")
    store.put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    yield address
    server.stop()


@pytest.fixture(autouse=True)
def _quick(short_pauses: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, and credentials that are no one's."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)


def client(address: str) -> Any:
    """Returns a client of the server of these tests."""
    return boto3.client("s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def test_a_prefix_is_fetched_as_a_folder(tmp_path: Path, endpoint: str) -> None:
    """Everything below a prefix comes under its own names, odd ones too; a longer name with that beginning is not below it."""
    config = ObjectsDownloadConfig(
        path=f"s3://{BUCKET}/survey", include=("*.jpg",), output_dir=tmp_path / "out", endpoint_url=endpoint
    )
    done = download_objects(config)
    assert (done.counts.fetched, done.counts.bytes) == (12, sum(KEYS.values()))
    for key, size in KEYS.items():
        assert (tmp_path / "out" / key.removeprefix("survey/")).read_bytes() == picture(key, size)
    again = download_objects(config)
    assert (again.counts.there, again.counts.fetched, again.counts.bytes) == (12, 0, 0)


def test_anonymous_readers_get_what_is_public(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """--anonymous needs no credentials and gets the public object; those that are not public are listed as forbidden."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    config = ObjectsDownloadConfig(
        path=f"s3://{BUCKET}/survey10/", output_dir=tmp_path / "out", endpoint_url=endpoint, anonymous=True
    )
    assert download_objects(config).exit_code == 0
    assert (tmp_path / "out" / "other.jpg").read_bytes() == picture("other")
    done = download_objects(config.model_copy(update={"path": f"s3://{BUCKET}/survey", "include": ("*.jpg",)}))
    assert done.counts.reasons == {"forbidden": 12}


def test_a_profile_of_the_credentials_file_is_used(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """--profile reads that profile; one that is not there is said, not tried again."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "credentials").write_text("[animl]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    config = ObjectsDownloadConfig(
        path=f"s3://{BUCKET}/survey10", output_dir=tmp_path / "out", endpoint_url=endpoint, profile="animl"
    )
    assert download_objects(config).counts.fetched == 1
    with pytest.raises(SourceError, match=r"nobody.*--profile"):
        download_objects(config.model_copy(update={"profile": "nobody", "output_dir": tmp_path / "none"}))


def test_failures_of_objects_have_reasons(tmp_path: Path, endpoint: str) -> None:
    """Missing objects, missing buckets and text instead of pictures are told apart."""
    urls = [
        f"s3://{BUCKET}/survey/none.jpg",
        "s3://no-such-bucket/a.jpg",
        f"s3://{BUCKET}/survey/notes.txt",
        f"s3://{BUCKET}/survey",
    ]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    done = download_urls(UrlsDownloadConfig(path=tmp_path / "urls.txt", output_dir=tmp_path / "out", endpoint_url=endpoint))
    assert done.counts.reasons == {"not_found": 3, "not_a_picture": 1}


def test_an_object_goes_on_where_it_was_left(tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the same version is built upon: only the rest is asked for; of another version it is not."""
    body = picture("large", 1_000_000)
    client(endpoint).put_object(Bucket=BUCKET, Key="large/large.jpg", Body=body)
    monkeypatch.setattr(object_fetch, "PIECE", 300_000)
    config = ObjectsDownloadConfig(
        path=f"s3://{BUCKET}/large", output_dir=tmp_path / "out", endpoint_url=endpoint, max_file_mb=0.7, attempts=1
    )
    wide = config.model_copy(update={"max_file_mb": 10.0})
    calls = {"left": 2}
    write = engine.Part.grow

    def grow(self: Any, *rest: Any) -> Any:
        """Breaks off after two pieces, once."""
        growing = write(self, *rest)
        real = growing.write

        def limited(data: bytes) -> None:
            """Writes, or breaks off."""
            if calls["left"] == 0:
                calls["left"] = -1
                raise engine.FetchError("cut_off", "for the test")
            calls["left"] -= 1
            real(data)

        growing.write = limited
        return growing

    monkeypatch.setattr(engine.Part, "grow", grow)
    assert download_objects(wide).counts.reasons == {"cut_off": 1}
    monkeypatch.setattr(engine.Part, "grow", write)
    done = download_objects(wide)
    assert (tmp_path / "out" / "large.jpg").read_bytes() == body
    assert done.counts.bytes == 400_000
    assert download_objects(config.model_copy(update={"output_dir": tmp_path / "b"})).counts.reasons == {"too_large": 1}


def test_a_plan_of_a_prefix_needs_no_questions(tmp_path: Path, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--dry-run adds up the sizes of the listing and writes nothing."""
    flags = ["--endpoint-url", endpoint, "--output-dir", str(tmp_path / "out"), "--dry-run", "--include", "*.jpg"]
    assert main(["download", "s3", f"s3://{BUCKET}/survey", *flags]) == 0
    assert "would fetch 12 files, 36.1 kB (by their sizes)" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_what_is_no_prefix_is_said_before_anything_is_done(
    tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other schemes, stores whose library is missing, and empty prefixes are one-line errors."""
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    config = ObjectsDownloadConfig(path="https://example.org/a", output_dir=tmp_path / "out")
    with pytest.raises(SettingError, match="write s3://bucket/prefix"):
        download_objects(config)
    with pytest.raises(SettingError, match=r"pip install 'camtrap_tf\[gcs\]'"):
        download_objects(config.model_copy(update={"path": "gs://bucket/a"}))
    with pytest.raises(SourceError, match="nothing lies below it"):
        download_objects(config.model_copy(update={"path": f"s3://{BUCKET}/none", "endpoint_url": endpoint}))
