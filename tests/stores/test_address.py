"""A store is chosen by its address."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatlib.stores import store_at
from chatlib.stores.memory import MemoryStore
from chatlib.stores.retention import Retention
from chatlib.stores.sqlite import SQLiteStore


def test_memory():
    store = store_at("memory:", retention=Retention(messages=5))
    assert isinstance(store, MemoryStore)
    assert store.retention.messages == 5


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("sqlite:///chat.db", Path.cwd() / "chat.db"),
        ("sqlite:///data/chat.db", Path.cwd() / "data/chat.db"),
        ("sqlite:////var/lib/chat.db", Path("/var/lib/chat.db")),
    ],
)
def test_a_file(address, path):
    store = store_at(address)
    assert isinstance(store, SQLiteStore)
    assert store.path == path


@pytest.mark.parametrize(
    "address",
    [
        "",
        "memory",
        "memory://",
        "chat.db",
        "sqlite:",
        "sqlite:///",
        "sqlite://chat.db",
        "x://y",
        "redis:x",
    ],
)
def test_what_is_no_address_is_told_what_is(address):
    with pytest.raises(ValueError, match=r"'memory:', 'sqlite:///chat\.db' or 'redis:"):
        store_at(address)


@pytest.mark.parametrize(
    "address",
    [
        "redis://:open/sesame@127.0.0.1:6379/0",
        "redis://:open#sesame@127.0.0.1:6379/0",
        "redis://:open?sesame@127.0.0.1:6379/0",
        "redis://:4321#sesame@127.0.0.1:6379/0",
        "redis://:4321?sesame@127.0.0.1:6379/0",
        "redis://:open[sesame@127.0.0.1:6379/0",
        "redis://:sesame@127.0.0.1:6379/lobby",
        "valkey://:sesame@127.0.0.1:6379/0",
        "valkey://:open[sesame@127.0.0.1:6379/0",
    ],
)
def test_no_part_of_a_password_is_told_with_what_is_wrong(address):
    with pytest.raises(ValueError, match="expected") as refused:
        store_at(address)
    assert not any(part in str(refused.value) for part in ("open", "4321", "sesame"))


def test_a_password_may_stand_in_the_query():
    store_at("redis://127.0.0.1:6379/0?password=p@ss")


def test_the_addresses_alone_import_no_sqlite():
    code = "import sys, chatlib.stores; sys.exit('sqlite3' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
