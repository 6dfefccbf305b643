"""Caddy with the configuration in deploy/, in front of the rooms and of an app that tells."""

import pytest
from fronts import Caddy
from proxied import code_of
from proxy_contract import ReadinessContract

pytestmark = pytest.mark.usefixtures("needs_openssl")


running = Caddy


class TestCaddy(ReadinessContract):
    STOPPED = 1001
    SOONER = ("health_interval 2s", "health_interval 50ms")
    SHORTER = ("read_header 10s", "read_header 200ms")

    def test_a_reload_closes_open_websockets_with_1001(self, probe):
        with running(probe) as proxy, proxy.connect("/chat/ws") as websocket:
            websocket.recv()
            proxy.reload()
            assert code_of(websocket) == 1001
            with proxy.connect("/chat/ws") as again:
                again.recv()

    def test_without_route_everybody_sees_what_is_for_operators(self, probe):
        """Caddy sorts: `respond`, which stands first, comes after `handle_path`."""
        with running(probe, {"\troute {": "\thandle {"}) as broken:
            assert broken.status("/chat/metrics")[0] == 200
