import http.server
import socket
import threading
import time
from pathlib import Path

import pytest
from torchvision import datasets

from plastorch.data import download
from plastorch.data.catalogue import CATALOGUE
from plastorch.data.download import DownloadError, download_set

ENTRY = CATALOGUE["cifar10"]


def test_facts_agree_with_torchvision():
    for entry in CATALOGUE.values():
        if not entry.torchvision:
            continue
        reader = getattr(datasets, entry.torchvision)
        if entry.layout in ("cifar", "stl10"):
            assert entry.downloaded == reader.base_folder and entry.site == reader.url
            known = dict(reader.train_list + reader.test_list)
            assert {name: entry.md5[name] for name in known} == known
        elif entry.layout == "idx":
            assert any(entry.site.startswith(mirror) for mirror in reader.mirrors)
            assert dict(reader.resources).items() <= entry.md5.items()
        else:
            assert entry.site == reader._ARCHIVES[entry.options["size"]][0]


def test_no_free_download(tmp_path):
    with pytest.raises(DownloadError, match="no free download"):
        download_set(CATALOGUE["imagenet"], tmp_path)


@pytest.mark.parametrize("status", [200, 403])
def test_any_answer_counts(status):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        download._require_answer(f"http://127.0.0.1:{server.server_port}/")
    assert asked == ["/"]


def test_a_refused_connection_is_told_at_once():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(DownloadError, match="does not answer"):
            download._require_answer(address)


def test_a_silent_site_is_given_up_within_seconds(monkeypatch):
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.perf_counter()
        with pytest.raises(DownloadError, match="does not answer"):
            download._require_answer(f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert time.perf_counter() - start < 3


def test_a_whole_download_is_renamed_into_place(tmp_path, monkeypatch):
    limits = []

    def fetch(entry, folder: Path):
        limits.append(socket.getdefaulttimeout())
        (folder / entry.downloaded).mkdir()
        (folder / entry.downloaded / "test_batch").write_text("x")
        (folder / "archive.tar.gz").write_text("left behind")

    monkeypatch.setattr(download, "_require_answer", lambda address: None)
    monkeypatch.setattr(download, "_fetch", fetch)
    root = tmp_path / "new" / "root"
    assert download_set(ENTRY, root) == root / "cifar-10-batches-py"
    assert [p.name for p in root.iterdir()] == ["cifar-10-batches-py"]
    assert limits == [download.STALL_SECONDS] and socket.getdefaulttimeout() is None


def test_a_failed_download_leaves_nothing(tmp_path, monkeypatch):
    def fetch(entry, folder: Path):
        (folder / entry.downloaded).mkdir()
        raise ConnectionResetError("gone\nwith the wind")

    monkeypatch.setattr(download, "_require_answer", lambda address: None)
    monkeypatch.setattr(download, "_fetch", fetch)
    with pytest.raises(DownloadError, match="ConnectionResetError: gone") as caught:
        download_set(ENTRY, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [] and socket.getdefaulttimeout() is None
