"""The apps that are behind a proxy."""

import signal

import pytest
from proxied import PROBE, App, rooms_at


@pytest.fixture(scope="session")
def rooms(tmp_path_factory):
    """The rooms, as an operator starts them behind a proxy."""
    app = rooms_at(tmp_path_factory.mktemp("rooms"))
    yield app
    app.stop(signal.SIGTERM)


@pytest.fixture(scope="session")
def probe(tmp_path_factory):
    """An app that tells what reaches it."""
    folder = tmp_path_factory.mktemp("probe")
    app = App(folder, PROBE, str(folder / "app.sock"))
    yield app
    app.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def front(request):
    """What starts the module's proxy in front of an app, with changes of its configuration."""
    return request.module.running


@pytest.fixture(scope="module")
def chat(front, rooms):
    """The proxy in front of the rooms."""
    with front(rooms) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def tell(front, probe):
    """The proxy in front of the app that tells what reaches it."""
    with front(probe) as proxy:
        yield proxy
