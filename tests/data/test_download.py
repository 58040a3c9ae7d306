"""Downloads, from a site of our own on this machine."""

import hashlib
import http.server
import io
import shutil
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import HTTPHandler

import pytest
from torchvision import datasets

from plastorch.cli import main
from plastorch.data import download, download_images, image_set_status, load_images
from plastorch.data.catalog import CATALOG, Entry
from plastorch.data.download import download_set
from plastorch.engine.errors import InputError

HANDLERS = download.HANDLERS
"""Before tests are kept from the network."""


def test_facts_agree_with_torchvision_but_for_http():
    theirs = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10",
              "cifar100": "CIFAR100", "stl10": "STL10", "imagenette": "Imagenette"}  # fmt: skip
    assert set(theirs) == {name for name, entry in CATALOG.items() if entry.site}
    for name, reader in ((name, getattr(datasets, of)) for name, of in theirs.items()):
        entry = CATALOG[name]
        assert entry.site.startswith("https://")
        if entry.layout == "idx":
            assert entry.archives == dict(reader.resources)
            assert dict(reader.resources).items() <= entry.md5.items()
            continue
        if entry.layout == "tree":
            address, md5 = reader._ARCHIVES["320px"]
        else:
            address, md5 = reader.url.replace("http:", "https:"), reader.tgz_md5
            assert entry.unpacked == reader.base_folder
            known = dict(reader.train_list + reader.test_list)
            assert {name: entry.md5[name] for name in known} == known
        assert {f"{entry.site}/{name}": sum for name, sum in entry.archives.items()} == {
            address: md5
        }


class Site(http.server.BaseHTTPRequestHandler):
    """Gives the same bytes for every path, but for /moved/, which leads elsewhere."""

    content = b""
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", f"http://{self.headers['Host']}/a")
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        if not self.path.startswith("/moved/"):
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts a site on this machine; returns its address."""
    servers = []

    def start(content: bytes, asked: list[str], certificate: Path | None = None) -> str:
        handler = type("Handler", (Site,), {"content": content, "asked": asked})
        server = http.server.HTTPServer(("127.0.0.1", 0), handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads may take plain http; no test has a certificate that is known here."""
    monkeypatch.setattr(download, "HANDLERS", (*HANDLERS, HTTPHandler))


def packed(root: Path, folder: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.add(root / folder, folder)
    return file.getvalue()


def entry_at(site: str, content: bytes, name: str = "cifar10") -> Entry:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return replace(CATALOG[name], site=site, archives=dict.fromkeys(CATALOG[name].archives, md5))


@pytest.mark.usefixtures("plain")
def test_data_get_says_how_much_then_fetches_what_can_be_read(
    cifar_root, tmp_path_factory, serve, monkeypatch, capsys
):
    content, asked = packed(cifar_root, "cifar-10-batches-py"), []
    entry, root = entry_at(serve(content, asked), content), tmp_path_factory.mktemp("root")
    monkeypatch.setitem(CATALOG, "cifar10", entry)
    assert main(["data", "get", "cifar10", "--data", str(root)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"CIFAR-10: 170 MB from 127.0.0.1, into {root}",
        f"cifar10: {root / 'cifar-10-batches-py'}",
    ]
    assert asked == ["/cifar-10-python.tar.gz"]
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]
    assert load_images("cifar10", root).sha256 == load_images("cifar10", cifar_root).sha256
    assert main(["data", "get", "cifar10", "--data", str(root)]) == 0 and len(asked) == 1


@pytest.mark.usefixtures("plain")
def test_files_that_are_read_as_they_come(serve, tmp_path):
    entry, asked = CATALOG["mnist"], []
    entry = entry_at(serve(b"packed", asked), b"packed", "mnist")
    folder = download_set(entry, tmp_path / "new", print)
    assert folder == tmp_path / "new" / "MNIST" / "raw"
    assert sorted(path.name for path in folder.iterdir()) == sorted(CATALOG["mnist"].archives)
    row = next(row for row in image_set_status(tmp_path / "new") if row.name == "mnist")
    assert row.present and not row.missing


FAILURES = {
    "another checksum": ({"archives": {"a.tar.gz": "0" * 32}}, "MD5 of a.tar.gz is"),
    "too large": ({"megabytes": -1}, "larger than 0 MB"),
    "no such folder": ({"unpacked": "other"}, "No such file"),
    "elsewhere": ({"site": "{site}/moved"}, "unknown url type: http"),
    "no answer": ({"site": "http://127.0.0.1:1"}, "refused"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_download_leaves_nothing(name, serve, cifar_root, tmp_path, monkeypatch):
    changes, words = FAILURES[name]
    content, asked = packed(cifar_root, "cifar-10-batches-py"), []
    site = serve(content, asked)
    if name == "elsewhere":  # what answers http here asks for http, which no handler takes later

        class Once(HTTPHandler):
            def http_open(self, req):
                return super().http_open(req) if "/moved/" in req.full_url else None

        monkeypatch.setattr(download, "HANDLERS", (*HANDLERS, Once))
    else:
        monkeypatch.setattr(download, "HANDLERS", (*HANDLERS, HTTPHandler))
    changes = {key: v.format(site=site) if key == "site" else v for key, v in changes.items()}
    root = tmp_path / "root"
    with pytest.raises(InputError, match=words) as caught:
        download_set(replace(entry_at(site, content), **changes), root, print)
    assert "\n" not in str(caught.value) and list(root.iterdir()) == []


def test_plain_http_is_refused(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "HANDLERS", HANDLERS)
    asked: list[str] = []
    with pytest.raises(InputError, match="unknown url type: http"):
        download_set(entry_at(serve(b"", asked), b""), tmp_path, print)
    assert asked == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_https_needs_a_certificate_that_is_known(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "HANDLERS", HANDLERS)
    pem = tmp_path / "site.pem"
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    subprocess.run(
        [*new.split(), "subjectAltName=IP:127.0.0.1", "-keyout", pem, "-out", tmp_path / "cert"],
        check=True,
        capture_output=True,
    )
    pem.write_bytes(pem.read_bytes() + (tmp_path / "cert").read_bytes())
    asked: list[str] = []
    entry = entry_at(serve(b"packed", asked, pem), b"packed", "mnist")
    with pytest.raises(InputError, match="CERTIFICATE_VERIFY_FAILED"):
        download_set(entry, tmp_path / "data", print)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
    assert download_set(entry, tmp_path / "data", print).is_dir() and len(asked) == 4


def test_download_images_finds_or_fails_in_one_line(mnist_root):
    assert download_images("mnist", mnist_root) == mnist_root / "MNIST" / "raw"
    with pytest.raises(InputError, match=r"CIFAR-10: the download .* no network in tests"):
        download_images("cifar10", mnist_root)
    with pytest.raises(InputError, match="ImageNet: it has no free download; to get it: the ILSV"):
        download_images("imagenet", mnist_root)
    (mnist_root / "MNIST" / "raw" / "train-images-idx3-ubyte").unlink()
    with pytest.raises(InputError, match="raw lacks train-images-idx3-ubyte; expected all of it"):
        download_images("mnist", mnist_root)
