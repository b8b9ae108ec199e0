"""Names, URLs and lists that come from others."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.acquire.wanted import Wanted, join_url, path_of_url, read_list, safe_path, shown, url_problem
from camtrap_tf.errors import SourceError


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://example.org/a/b.jpg", "example.org/a/b.jpg"),
        ("http://example.org:8080//a//b%20c.JPG", "example.org_8080/a/b c.JPG"),
        ("https://user:pass@example.org/b.jpg", "example.org/b.jpg"),
        ("https://example.org", "example.org/index"),
        ("s3://bucket/key/b.jpg", "bucket/key/b.jpg"),
    ],
)
def test_plain_urls_keep_their_names(url: str, path: str) -> None:
    """Server, folders and name of a URL become those of the file."""
    assert path_of_url(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/%2e%2e/%2e%2e/etc/passwd",
        "https://example.org/../../etc/passwd",
        "https://example.org/a%2f..%2f..%2fb.jpg",
        "https://example.org/a%5c..%5cb.jpg",
        "https://example.org/a%00b.jpg",
        "https://example.org/" + "x" * 500 + ".jpg",
        "https://example.org/...",
        "https://../a.jpg",
        "s3://bucket/../../a.jpg",
    ],
)
def test_hostile_urls_stay_below_their_folder(url: str) -> None:
    """Whatever a URL holds, the path of it is one that a folder takes."""
    path = path_of_url(url)
    assert ".." not in path.split("/")
    assert safe_path(path) == path


def test_a_query_tells_names_apart() -> None:
    """Two URLs that differ in the query alone become two files, each always the same; the suffix stays."""
    one, other = (path_of_url(f"https://example.org/get.jpg?id={n}") for n in (1, 2))
    assert one != other
    assert one == path_of_url("https://example.org/get.jpg?id=1")
    assert one.endswith(".jpg")
    assert path_of_url("https://example.org/a%3Ab.jpg") != path_of_url("https://example.org/a_b.jpg")


@pytest.mark.parametrize(
    ("base", "key", "url"),
    [
        ("https://example.org/pictures", "a b/c#1.jpg", "https://example.org/pictures/a%20b/c%231.jpg"),
        ("https://example.org/pictures/", "/a%20.jpg", "https://example.org/pictures/a%2520.jpg"),
        ("https://x.blob.example/c?sv=1&sig=a%2Fb", "é?.jpg", "https://x.blob.example/c/%C3%A9%3F.jpg?sv=1&sig=a%2Fb"),
        ("s3://bucket/pre/", "a b#?.jpg", "s3://bucket/pre/a b#?.jpg"),
    ],
)
def test_keys_are_joined_to_bases(base: str, key: str, url: str) -> None:
    """Keys are quoted for HTTP and kept for object stores; a signature in the query of the base stays at the end."""
    assert join_url(base, key) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "a.jpg", "file:///etc/passwd", "ftp://a/b", "http://", "http://[::1", "http://a:99999/b", "javascript:alert(1)",
        "https://a/b c", "https://a/b\r\nHost: c", "https://a/" + "x" * 9000,
    ],
)  # fmt: skip
def test_what_cannot_be_fetched_has_a_problem(url: str) -> None:
    """Other schemes, missing servers, broken addresses, header injection and endless URLs are refused."""
    assert url_problem(url)


def test_private_addresses_are_the_users_own() -> None:
    """A user's own list may name servers of the user's own network."""
    assert url_problem("http://192.168.1.10/a.jpg") is None


def test_messages_show_no_secrets() -> None:
    """Users, passwords and queries, which hold signatures, are not shown."""
    assert shown("https://user:pass@example.org/a.jpg?sig=secret#x") == "https://example.org/a.jpg"


def test_lists_are_read_in_both_forms(tmp_path: Path) -> None:
    """A text has one URL a line, comments and blank lines aside; a CSV has a column url and what else is known."""
    (tmp_path / "a.txt").write_text("# pictures\n\nhttps://a/1.jpg\n  sub/2.jpg  \n")
    assert [(one.url, one.path) for one in read_list(tmp_path / "a.txt", "https://b/c")] == [
        ("https://a/1.jpg", "a/1.jpg"),
        ("https://b/c/sub/2.jpg", "sub/2.jpg"),
    ]
    (tmp_path / "a.csv").write_text('﻿id,url,size,path\n7,https://a/1.jpg,12,"x,y.jpg"\n', encoding="utf-8")
    assert list(read_list(tmp_path / "a.csv")) == [Wanted(id="7", url="https://a/1.jpg", size=12, path="x,y.jpg")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("link\nhttps://a/1.jpg\n", "no column 'url'"),
        ("url,size\nhttps://a/1.jpg,large\n", "not a whole number"),
        ("url,md5\nhttps://a/1.jpg,xyz\n", "not a digest"),
    ],
)
def test_lists_that_cannot_be_used_are_said(tmp_path: Path, text: str, said: str) -> None:
    """A table without URLs, sizes that are none and digests that are none are errors with the file's name."""
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SourceError, match=f"a.csv.*{said}"):
        list(read_list(tmp_path / "a.csv"))
    with pytest.raises(SourceError, match="no such list"):
        list(read_list(tmp_path / "none.csv"))


def test_pictures_without_a_suffix_get_one() -> None:
    """Where the name of a URL has no suffix it gets the one asked for; others keep theirs."""
    assert path_of_url("https://a/assets/0784/file", suffix=".jpg") == "a/assets/0784/file.jpg"
    assert path_of_url("https://a/b.PNG", suffix=".jpg") == "a/b.PNG"
    assert path_of_url("https://a/get?id=1", suffix=".jpg").endswith(".jpg")
    assert path_of_url("https://a/file") == "a/file"
