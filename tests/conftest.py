"""What the tests share: the chapters, and the scripts that run them."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from chatlib.lab.certificate import (
    HOW_TO_GET_OPENSSL,
    Certificate,
    find_openssl,
    make_certificate,
)
from chatlib.lab.nginx import HOW_TO_GET_ONE as HOW_TO_GET_NGINX
from chatlib.lab.nginx import find_nginx
from chatlib.lab.redis_server import HOW_TO_GET_ONE, RedisServer, find_redis

# How fast the machine is decides nothing: on a busy one an example may take a second.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
sys.path.insert(0, str(Path(__file__).parent / "notebooks"))  # for kernel.py and refresh.py
sys.path.insert(0, str(Path(__file__).parent / "shared"))  # for colours.py

SAID = '"what-the-page-said"'  # the cell that shows what was typed into the chapter's chat
# Which chapters a test runs for, by the name of its argument.
CHAPTERS: dict[str, Callable[[str], bool]] = {
    "chapter": lambda text: True,
    "chat_chapter": lambda text: SAID in text,
    "page_chapter": lambda text: ".show(" in text and SAID not in text,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes a `chapter` for each notebook; it gets the notebook's path."""
    for name, fits in CHAPTERS.items():
        if name in metafunc.fixturenames:
            paths = sorted(NOTEBOOKS.glob("*.ipynb"))
            chosen = [path for path in paths if fits(path.read_text("utf-8"))]
            metafunc.parametrize(name, chosen, ids=lambda path: path.stem, scope="session")


@pytest.fixture(scope="session")
def notebooks() -> Path:
    """The folder of the notebooks."""
    return NOTEBOOKS


@pytest.fixture
def socket_path() -> Iterator[str]:
    """A free path for a Unix socket. Those of `tmp_path` may be too long for one."""
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder, "socket"))


@pytest.fixture(scope="session")
def needs_redis() -> None:
    """Skip a test that needs a real Redis where there is none."""
    if find_redis() is None:
        pytest.skip(HOW_TO_GET_ONE)


@pytest.fixture
def redis(needs_redis: None) -> Iterator[RedisServer]:
    """A Redis that keeps everything on the disk."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def operator(redis: RedisServer) -> Iterator[Redis]:
    """A connection of whoever operates that Redis."""
    with Redis.from_url(redis.url, decode_responses=True) as client:
        yield client


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store of each kind."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis").url)
    return f"sqlite:///{tmp_path}/chat.db" if request.param == "sqlite" else "memory:"


@pytest.fixture(scope="session")
def needs_nginx() -> None:
    """Skip a test that needs nginx where there is none."""
    if find_nginx() is None:
        pytest.skip(HOW_TO_GET_NGINX)


@pytest.fixture(scope="session")
def needs_openssl() -> None:
    """Skip a test that needs a certificate where there is nothing to make one with."""
    if find_openssl() is None:
        pytest.skip(HOW_TO_GET_OPENSSL)


@pytest.fixture(scope="session")
def certificate(needs_openssl: None, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate that nobody else has signed."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))
