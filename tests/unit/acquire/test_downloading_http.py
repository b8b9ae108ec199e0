"""Downloads over HTTP from a server that misbehaves in every way we know."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx2
import pytest

from camtrap_tf.acquire import engine
from camtrap_tf.acquire.downloading import download_urls
from camtrap_tf.acquire.failures import FetchError
from camtrap_tf.acquire.http_fetch import check_redirect
from camtrap_tf.acquire.outcome import Downloaded
from camtrap_tf.config.download import UrlsDownloadConfig
from camtrap_tf.errors import RunLockedError
from camtrap_tf.files import locked_folder
from tests.reading import rows_of
from tests.servers import Site, always, cut_after, first_refuse, picture, redirect, send, send_file

HTML = b"<!DOCTYPE html><html><body>Sorry, we are closed.</body></html>"


def listed(folder: Path, site: Site, *paths: str, **more: Any) -> UrlsDownloadConfig:
    """Writes a list of URLs and returns settings that fetch it into `out`."""
    (folder / "urls.txt").write_text("".join(f"{site.url}{path}\n" for path in paths))
    return UrlsDownloadConfig(path=folder / "urls.txt", output_dir=folder / "out", **more)


def there(folder: Path, site: Site, path: str) -> bytes:
    """Returns the file that a URL of the site became."""
    return (folder / "out" / site.url.removeprefix("http://").replace(":", "_") / path.lstrip("/")).read_bytes()


def failures(folder: Path) -> dict[str, str]:
    """Returns the end of each URL in failed.csv → reason."""
    return {row["url"].rpartition("/")[2]: row["reason"] for row in rows_of(folder / "out" / "failed.csv")}


def balanced(done: Downloaded) -> bool:
    """Tells whether in = fetched + there already + listed twice + failed."""
    counts = done.counts
    return counts.read == counts.fetched + counts.there + counts.repeated + counts.failed


def test_files_arrive_whole_under_names_of_their_urls(tmp_path: Path, site: Site) -> None:
    """A list of URLs becomes files with the servers' bytes, and nothing but the journal is left beside them."""
    site.files = {f"/a/{n}.jpg": picture(str(n), 1000 + n) for n in range(40)}
    done = download_urls(listed(tmp_path, site, *site.files))
    assert all(there(tmp_path, site, path) == body for path, body in site.files.items())
    assert (done.counts.fetched, done.exit_code) == (40, 0)
    assert done.counts.bytes == sum(map(len, site.files.values()))
    assert not list((tmp_path / "out" / ".partial").glob("*.part"))
    assert not (tmp_path / "out" / "failed.csv").exists()
    assert site.requests[0].headers["user-agent"].startswith("camtrap_tf/")
    assert site.requests[0].headers["accept-encoding"] == "identity"


def test_again_asks_for_nothing(tmp_path: Path, site: Site) -> None:
    """The same command again finds everything there without a single request."""
    site.files = {f"/{n}.jpg": picture(str(n)) for n in range(5)}
    config = listed(tmp_path, site, *site.files)
    download_urls(config)
    site.requests.clear()
    done = download_urls(config)
    assert (done.counts.there, done.counts.fetched, site.requests) == (5, 0, [])


def test_a_damaged_file_is_fetched_anew(tmp_path: Path, site: Site) -> None:
    """A file that lost bytes since it was fetched is replaced."""
    site.files = {"/a.jpg": picture("a")}
    config = listed(tmp_path, site, "/a.jpg")
    download_urls(config)
    target = next((tmp_path / "out").rglob("a.jpg"))
    target.write_bytes(b"\xff\xd8\xff half")
    assert download_urls(config).counts.fetched == 1
    assert target.read_bytes() == picture("a")


def test_a_foreign_file_is_not_replaced_unasked(tmp_path: Path, site: Site) -> None:
    """A file that did not come by a download and has another size stays, and is listed; --existing overwrite replaces it."""
    site.files = {"/a.jpg": picture("a")}
    config = listed(tmp_path, site, "/a.jpg")
    download_urls(config)
    target = next((tmp_path / "out").rglob("a.jpg"))
    (tmp_path / "out" / ".partial" / "journal.sqlite").unlink()
    target.write_bytes(b"mine")
    assert download_urls(config).counts.reasons == {"other_file": 1}
    assert target.read_bytes() == b"mine"
    assert download_urls(config.model_copy(update={"existing": "overwrite"})).counts.fetched == 1
    assert target.read_bytes() == picture("a")


def test_a_foreign_file_of_another_size_than_the_list_says_stays(tmp_path: Path, site: Site) -> None:
    """Where the list names the size, a foreign file is told by it, without a request, and stays."""
    site.files["/a.jpg"] = picture("a")
    (tmp_path / "list.csv").write_text(f"url,path,size\n{site.url}/a.jpg,a.jpg,4000\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jpg").write_bytes(b"mine")
    done = download_urls(UrlsDownloadConfig(path=tmp_path / "list.csv", output_dir=tmp_path / "out"))
    assert (done.counts.reasons, site.requests) == ({"other_file": 1}, [])
    assert (tmp_path / "out" / "a.jpg").read_bytes() == b"mine"


def test_a_lost_journal_costs_one_question_per_file(tmp_path: Path, site: Site) -> None:
    """Without a journal sizes are asked of the server, and files of that size are there already."""
    site.files = {"/a.jpg": picture("a")}
    config = listed(tmp_path, site, "/a.jpg")
    download_urls(config)
    (tmp_path / "out" / ".partial" / "journal.sqlite").write_bytes(b"not a database, not at all" * 100)
    site.requests.clear()
    assert download_urls(config).counts.there == 1
    assert [one.method for one in site.requests] == ["HEAD"]


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_passing_errors_are_tried_again(tmp_path: Path, site: Site, status: int) -> None:
    """A server that refuses twice and then sends is waited for."""
    site.answers["/a.jpg"] = first_refuse(status, picture("a"), times=2)
    assert download_urls(listed(tmp_path, site, "/a.jpg")).counts.fetched == 1
    assert there(tmp_path, site, "/a.jpg") == picture("a")


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "not_found"), (403, "forbidden"), (410, "not_found"), (400, "http_status")]
)
def test_lasting_errors_are_asked_once(tmp_path: Path, site: Site, status: int, reason: str) -> None:
    """What another try cannot help is not tried again."""
    site.answers["/a.jpg"] = always(status, b"no")
    done = download_urls(listed(tmp_path, site, "/a.jpg"))
    assert (done.counts.reasons, len(site.requests)) == ({reason: 1}, 1)


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_kept_by_all_files_of_the_server(tmp_path: Path, site: Site, as_date: bool) -> None:
    """After `Retry-After` nothing is asked of that server until the time is over, whatever else there is to fetch."""
    paths = [f"/{n}.jpg" for n in range(40)]
    site.files = {path: picture(path) for path in paths}
    site.pause_s = 0.05
    wait = formatdate(time.time() + 3, usegmt=True) if as_date else "1"
    site.answers["/0.jpg"] = first_refuse(429, picture("/0.jpg"), Retry_After=wait)
    done = download_urls(listed(tmp_path, site, *paths, per_host=4))
    assert done.counts.fetched == 40
    first, second = (one.at for one in site.asked("/0.jpg"))
    assert second - first >= 1.0
    assert not [one for one in site.requests if first + 0.4 < one.at < first + 1.0]
    assert len([one for one in site.requests if one.at >= first + 1.0]) > 20


def test_a_pause_that_is_too_long_is_a_failure(tmp_path: Path, site: Site) -> None:
    """A server that asks to come back tomorrow is listed, with what it asked for."""
    site.answers["/a.jpg"] = always(503, b"", Retry_After="86000")
    done = download_urls(listed(tmp_path, site, "/a.jpg"))
    assert done.counts.reasons == {"server_error": 1}
    assert "asked to wait 86000 s" in (tmp_path / "out" / "failed.csv").read_text()


def test_a_cut_stream_goes_on_where_it_broke(tmp_path: Path, site: Site) -> None:
    """After a broken connection only the rest is asked for, of the same version."""
    body = picture("a", 500_000)
    site.answers["/a.jpg"] = cut_after(200_000, body)
    done = download_urls(listed(tmp_path, site, "/a.jpg"))
    assert there(tmp_path, site, "/a.jpg") == body
    second = site.asked("/a.jpg")[1].headers
    assert 0 < int(second["range"].removeprefix("bytes=").rstrip("-")) <= 200_000
    assert second["if-range"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert done.counts.bytes == len(body)


def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path: Path, site: Site) -> None:
    """The rest of another version is never put behind the beginning of this one."""
    old, new = picture("old", 400_000), picture("new", 300_000)
    cutting = cut_after(100_000, old)

    def answer(request: Any, handler: Any) -> None:
        """Breaks off, and has another version afterwards."""
        if request.count == 1:
            cutting(request, handler)
        else:
            send_file(handler, request, new)

    site.answers["/a.jpg"] = answer
    download_urls(listed(tmp_path, site, "/a.jpg"))
    assert there(tmp_path, site, "/a.jpg") == new


def test_a_server_that_ignores_ranges_is_understood(tmp_path: Path, site: Site) -> None:
    """Where the whole file comes instead of the rest, it takes the place of the part."""
    body = picture("a", 300_000)
    cutting = cut_after(100_000, body)
    site.answers["/a.jpg"] = lambda request, handler: (
        cutting(request, handler) if request.count == 1 else send(handler, 200, body)
    )
    download_urls(listed(tmp_path, site, "/a.jpg"))
    assert there(tmp_path, site, "/a.jpg") == body


@pytest.mark.parametrize("sent", [7, 299_000])
def test_a_wrong_range_is_not_taken(tmp_path: Path, site: Site, sent: int) -> None:
    """A server that sends another range than it was asked for, earlier or later, does not spoil the file."""
    body = picture("a", 300_000)
    cutting = cut_after(100_000, body)

    def answer(request: Any, handler: Any) -> None:
        """Breaks off, lies about the range, and sends the whole file to whoever asks for it."""
        if request.count == 1:
            cutting(request, handler)
        elif "range" in request.headers:
            send(handler, 206, body[sent:], Content_Range=f"bytes {sent}-{len(body) - 1}/{len(body)}")
        else:
            send(handler, 200, body)

    site.answers["/a.jpg"] = answer
    download_urls(listed(tmp_path, site, "/a.jpg"))
    assert there(tmp_path, site, "/a.jpg") == body


def test_a_length_that_never_comes_is_a_failure(tmp_path: Path, site: Site) -> None:
    """A server that promises more than it ever sends is tried, then listed; no half file gets the name."""
    site.answers["/a.jpg"] = cut_after(1000, picture("a", 5000), times=99)
    done = download_urls(listed(tmp_path, site, "/a.jpg", attempts=3))
    assert (done.counts.reasons, len(site.asked("/a.jpg"))) == ({"cut_off": 1}, 3)
    assert not list((tmp_path / "out").rglob("a.jpg"))


def test_a_page_instead_of_a_picture_is_refused(tmp_path: Path, site: Site) -> None:
    """HTML, XML, text and nothing, sent with status 200 as image/jpeg, are refused with a reason and not tried again."""
    bodies = {"/html.jpg": HTML, "/xml.jpg": b"<?xml version='1.0'?><Error/>", "/text.jpg": b"sorry", "/empty.jpg": b""}
    site.files = {**bodies, "/good.jpg": picture("good")}
    done = download_urls(listed(tmp_path, site, *site.files))
    assert (done.counts.fetched, done.counts.reasons, len(site.requests)) == (1, {"not_a_picture": 4}, 5)
    text = (tmp_path / "out" / "failed.csv").read_text()
    assert "an HTML page came instead of a picture (the server calls it image/jpeg)" in text
    assert "the file is empty" in text


def test_anything_may_be_expected(tmp_path: Path, site: Site) -> None:
    """With --expect anything a page is a file like others."""
    site.files = {"/page.html": HTML}
    assert download_urls(listed(tmp_path, site, "/page.html", expect="anything")).counts.fetched == 1


def test_redirects_are_followed_a_few_times(tmp_path: Path, site: Site) -> None:
    """One redirect is followed; a loop, and a lead out of HTTP, are failures that are not tried again."""
    site.files["/there.jpg"] = picture("there")
    site.answers["/here.jpg"] = redirect("/there.jpg")
    site.answers["/round.jpg"] = redirect("/about.jpg")
    site.answers["/about.jpg"] = redirect("/round.jpg")
    site.answers["/local.jpg"] = redirect("file:///etc/passwd")
    done = download_urls(listed(tmp_path, site, "/here.jpg", "/round.jpg", "/local.jpg"))
    assert there(tmp_path, site, "/here.jpg") == picture("there")
    assert failures(tmp_path) == {"round.jpg": "redirect_loop", "local.jpg": "bad_url"}
    assert done.exit_code == 3
    assert len(site.requests) < 12


def test_a_silent_server_is_given_up(tmp_path: Path, site: Site) -> None:
    """A server that takes the request and says nothing costs the timeout, not the day."""
    given_up = threading.Event()
    site.answers["/a.jpg"] = lambda _, handler: given_up.wait(60)
    done = download_urls(listed(tmp_path, site, "/a.jpg", timeout_s=0.3, attempts=2))
    given_up.set()
    assert done.counts.reasons == {"timeout": 1}


def test_a_dripping_server_is_given_up(tmp_path: Path, site: Site) -> None:
    """A byte now and then is not silence, and is given up all the same."""

    def drip(_: Any, handler: Any) -> None:
        """Sends a byte every 50 ms."""
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(60):
            handler.wfile.write(b"\xff")
            time.sleep(0.05)

    site.answers["/a.jpg"] = drip
    done = download_urls(listed(tmp_path, site, "/a.jpg", timeout_s=0.5, attempts=1))
    assert done.counts.reasons == {"too_slow": 1}


def test_a_large_file_is_refused(tmp_path: Path, site: Site) -> None:
    """Files over the limit are refused before their bytes come where the size is named, else as soon as they pass it."""
    site.files["/named.jpg"] = picture("named", 300_000)

    def unnamed(_: Any, handler: Any) -> None:
        """Sends a lot in chunks, without saying how much."""
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        piece = picture("x", 50_000)
        for _ in range(200):
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    site.answers["/unnamed.jpg"] = unnamed
    done = download_urls(listed(tmp_path, site, "/named.jpg", "/unnamed.jpg", max_file_mb=0.2))
    assert done.counts.reasons == {"too_large": 2}
    assert done.counts.bytes < 400_000


def test_packed_answers_are_not_unpacked(tmp_path: Path, site: Site) -> None:
    """A server that packs although it was not asked to is refused: what is packed may unpack to anything."""
    site.answers["/a.jpg"] = always(200, b"\x1f\x8b" + b"x" * 50, Content_Encoding="gzip")
    assert download_urls(listed(tmp_path, site, "/a.jpg")).counts.reasons == {"encoded": 1}


def test_what_the_list_knows_is_checked(tmp_path: Path, site: Site) -> None:
    """Size, SHA-256 and MD5 of a list are compared; what differs does not get the name."""
    site.files = {f"/{n}.jpg": picture(n) for n in "abcd"}
    sha = hashlib.sha256(picture("a")).hexdigest()
    rows = [
        ("a", "a.jpg", 4000, sha, ""),
        ("b", "b.jpg", 3999, "", ""),
        ("c", "c.jpg", "", sha, ""),
        ("d", "d.jpg", "", "", "0" * 32),
    ]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("url", "path", "size", "sha256", "md5"))
        writer.writerows((f"{site.url}/{name}.jpg", path, *rest) for name, path, *rest in rows)
    done = download_urls(UrlsDownloadConfig(path=tmp_path / "list.csv", output_dir=tmp_path / "out", attempts=2))
    assert failures(tmp_path) == {"b.jpg": "wrong_size", "c.jpg": "wrong_digest", "d.jpg": "wrong_digest"}
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jpg")) == ["a.jpg"]
    assert balanced(done)


def test_failed_csv_is_a_list_to_try_again(tmp_path: Path, site: Site) -> None:
    """--retry takes failed.csv: the rest comes under its names, and the list goes when nothing fails any more."""
    site.files["/a.jpg"] = picture("a")
    config = listed(tmp_path, site, "/a.jpg", "/b.jpg", "/c.jpg")
    assert download_urls(config).counts.failed == 2
    site.files |= {"/b.jpg": picture("b")}
    again = UrlsDownloadConfig(output_dir=tmp_path / "out", retry=tmp_path / "out" / "failed.csv")
    done = download_urls(again)
    assert (done.counts.read, done.counts.fetched, failures(tmp_path)) == (2, 1, {"c.jpg": "not_found"})
    site.files |= {"/c.jpg": picture("c")}
    assert download_urls(again).exit_code == 0
    assert not (tmp_path / "out" / "failed.csv").exists()
    assert there(tmp_path, site, "/c.jpg") == picture("c")


def test_hostile_lists_stay_in_their_folder(tmp_path: Path, site: Site) -> None:
    """Paths that lead out, names of our own files and other schemes are failures; nothing appears elsewhere."""
    site.files["/a.jpg"] = picture("a")
    url = f"{site.url}/a.jpg"
    rows = [
        (url, "../out.jpg"), (url, "a/../../out.jpg"), (url, ".partial/journal.sqlite"), (url, "failed.csv"), (url, "x" * 300),
        ("file:///etc/passwd", "passwd.jpg"), ("ftp://example.org/a.jpg", "ftp.jpg"), ("http://", "none.jpg"),
        (url, "/etc/absolute.jpg"), (url, "fine.jpg"), (url, "fine.jpg"), (url, "fine.jpg/below.jpg"),
    ]  # fmt: skip
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("url", "path"), *rows])
    done = download_urls(UrlsDownloadConfig(path=tmp_path / "list.csv", output_dir=tmp_path / "out", connections=1))
    assert done.counts.reasons == {"outside_root": 2, "bad_path": 4, "bad_url": 3}
    assert (done.counts.fetched, done.counts.repeated) == (2, 1)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert found == ["out/etc/absolute.jpg", "out/fine.jpg"]
    assert balanced(done)


def test_no_server_gets_more_than_its_share(tmp_path: Path, site: Site) -> None:
    """At most --per-host files are asked of one server at a time."""
    site.files = {f"/{n}.jpg": picture(str(n)) for n in range(24)}
    site.pause_s = 0.05
    download_urls(listed(tmp_path, site, *site.files, per_host=3))
    assert site.most_active == 3


def test_a_plan_counts_files_and_bytes_and_writes_nothing(tmp_path: Path, site: Site) -> None:
    """--dry-run says what there is to fetch by asking for sizes, and leaves no folder."""
    site.files = {f"/{n}.jpg": picture(str(n), 1000 * (n + 1)) for n in range(4)}
    done = download_urls(listed(tmp_path, site, *site.files, "/missing.jpg", dry_run=True))
    assert done.plan is not None
    assert (done.plan.counts.fetched, done.plan.asked_bytes, done.plan.refused) == (5, 10_000, {"not_found": 1})
    assert {one.method for one in site.requests} == {"HEAD"}
    assert not (tmp_path / "out").exists()
    assert "1 are not to be had (1 × not_found)" in done.text()


def test_a_wrong_digest_is_tried_once_more(tmp_path: Path, site: Site) -> None:
    """What was spoilt on the way comes right the second time; what is wrong at the server is not fetched for ever."""
    sha = hashlib.sha256(picture("a")).hexdigest()
    site.answers["/a.jpg"] = lambda request, handler: send(handler, 200, picture("a" if request.count > 1 else "spoilt"))
    site.files["/b.jpg"] = picture("b")
    (tmp_path / "list.csv").write_text(f"url,path,sha256\n{site.url}/a.jpg,a.jpg,{sha}\n{site.url}/b.jpg,b.jpg,{sha}\n")
    done = download_urls(UrlsDownloadConfig(path=tmp_path / "list.csv", output_dir=tmp_path / "out"))
    assert (tmp_path / "out" / "a.jpg").read_bytes() == picture("a")
    assert (done.counts.reasons, len(site.asked("/b.jpg"))) == ({"wrong_digest": 1}, 2)


def test_digests_of_files_that_are_there_are_compared_on_demand(tmp_path: Path, site: Site) -> None:
    """A file of the right size and other content is found by --existing digest alone."""
    site.files["/a.jpg"] = picture("a")
    sha = hashlib.sha256(picture("a")).hexdigest()
    (tmp_path / "list.csv").write_text(f"url,path,sha256\n{site.url}/a.jpg,a.jpg,{sha}\n")
    config = UrlsDownloadConfig(path=tmp_path / "list.csv", output_dir=tmp_path / "out")
    download_urls(config)
    (tmp_path / "out" / "a.jpg").write_bytes(picture("x"))
    assert download_urls(config).counts.there == 1
    careful = config.model_copy(update={"existing": "digest"})
    assert download_urls(careful).counts.fetched == 1
    assert (tmp_path / "out" / "a.jpg").read_bytes() == picture("a")
    assert download_urls(careful).counts.there == 1


def test_the_digest_that_google_names_is_compared(tmp_path: Path, site: Site) -> None:
    """A file that does not have the MD5 of its x-goog-hash header is not taken."""
    good, wrong = (base64.b64encode(hashlib.md5(picture(name)).digest()).decode() for name in "ab")
    for path, named in (("/a.jpg", good), ("/b.jpg", wrong)):
        site.answers[path] = always(200, picture("a"), x_goog_hash=f"crc32c=AAAAAA==, md5={named}")
    done = download_urls(listed(tmp_path, site, "/a.jpg", "/b.jpg", attempts=2))
    assert (done.counts.fetched, done.counts.reasons) == (1, {"wrong_digest": 1})


def test_a_server_that_is_gone_does_not_cost_every_file_its_tries(tmp_path: Path, site: Site) -> None:
    """After a few files that could not be connected for, the others get one try each."""
    paths = [f"/{n}.jpg" for n in range(40)]
    dead = Site(url="http://127.0.0.1:9")  # the discard port, where nothing listens
    tries = []
    config = listed(tmp_path, dead, *paths, attempts=4, per_host=2)
    real = engine.HttpFetcher.fetch

    async def fetch(self: Any, part: Any) -> Any:
        """Counts the tries."""
        tries.append(part.wanted.url)
        return await real(self, part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.HttpFetcher, "fetch", fetch)
        done = download_urls(config)
    assert done.counts.reasons == {"no_connection": 40}
    assert 40 + 3 * 5 <= len(tries) <= 40 + 3 * 7


def test_two_urls_of_one_name_do_not_replace_each_other(tmp_path: Path, site: Site) -> None:
    """The second URL that wants a name is listed, whatever the order they arrive in."""
    site.files = {"/a.jpg": picture("a"), "/b.jpg": picture("b")}
    (tmp_path / "list.csv").write_text(f"url,path\n{site.url}/a.jpg,x.jpg\n{site.url}/b.jpg,x.jpg\n")
    done = download_urls(UrlsDownloadConfig(path=tmp_path / "list.csv", output_dir=tmp_path / "out"))
    assert done.counts.reasons == {"same_name": 1}
    assert (tmp_path / "out" / "x.jpg").read_bytes() == picture("a")


def test_a_folder_has_one_download_at_a_time(tmp_path: Path, site: Site) -> None:
    """A second download in the same folder is refused while the first holds it."""
    with locked_folder(tmp_path / "out" / ".partial"), pytest.raises(RunLockedError):
        download_urls(listed(tmp_path, site, "/a.jpg"))


def cut_always(count: int, body: bytes, *, etag: bool = True) -> Any:
    """Returns an answer that breaks off after so many bytes of whatever part is asked for."""

    def answer(request: Any, handler: Any) -> None:
        """Sends a piece of the rest, and promises all of it."""
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if etag:
            handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(body[start : start + count])
        handler.close_connection = True

    return answer


def test_a_file_that_grows_gets_further_tries(tmp_path: Path, site: Site) -> None:
    """Over a line that breaks every 300 kB a file of 2 MB arrives, although there are but two tries without progress."""
    body = picture("a", 2_000_000)
    site.answers["/a.jpg"] = cut_always(300_000, body)
    assert download_urls(listed(tmp_path, site, "/a.jpg", attempts=2)).counts.fetched == 1
    assert there(tmp_path, site, "/a.jpg") == body


def test_what_no_server_can_tell_apart_is_begun_anew(tmp_path: Path, site: Site) -> None:
    """Without ETag, time of change and digest nothing is built upon a part: it may be of another version."""
    site.answers["/a.jpg"] = cut_always(200_000, picture("a", 300_000), etag=False)
    done = download_urls(listed(tmp_path, site, "/a.jpg", attempts=2))
    assert done.counts.reasons == {"cut_off": 1}
    assert all("range" not in one.headers for one in site.requests)


def test_nobody_is_led_from_https_to_http() -> None:
    """A redirect to http is refused where it comes from https, and followed where it comes from http."""
    for scheme, refused in (("https", True), ("http", False)):
        answer = httpx2.Response(302, request=httpx2.Request("GET", f"{scheme}://a.example/1.jpg"))
        answer.next_request = httpx2.Request("GET", "http://b.example/1.jpg")
        if refused:
            with pytest.raises(FetchError, match=r"insecure_redirect.*b\.example"):
                asyncio.run(check_redirect(answer))
        else:
            asyncio.run(check_redirect(answer))
