from pathlib import Path

import pytest

from plastorch.data import cache_root, data_root
from plastorch.data.root import named_by
from plastorch.engine.errors import InputError


def test_argument_then_environment_then_cache(tmp_path, own_cache, monkeypatch):
    monkeypatch.delenv("PLASTORCH_DATA", raising=False)
    assert data_root() == own_cache / "plastorch" / "data" == cache_root() / "data"
    assert named_by() == ""
    monkeypatch.setenv("PLASTORCH_DATA", str(own_cache))
    assert data_root() == own_cache and named_by() == "$PLASTORCH_DATA"
    assert data_root(str(tmp_path)) == tmp_path and named_by(tmp_path) == "data"


def test_home_cache_without_xdg(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "plastorch"


def test_a_given_folder_must_exist(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"data: .*nowhere"):
        data_root(tmp_path / "nowhere")
    monkeypatch.setenv("PLASTORCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="PLASTORCH_DATA"):
        data_root()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not a folder"):
        data_root(tmp_path / "file")
