"""Which origins a browser can send, and which of them is the server's own."""

import pytest

from chatlib.core.browsers import difference, expect_sendable, is_same

SENDABLE = (
    *("https://example.com", "http://localhost:3000", "https://example.com:8443", "null"),
    *(
        "http://example.com:443",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "https://a_b.example",
    ),
    *("https://xn--bcher-kva.example", "https://example.com.", "file://", "capacitor://localhost"),
    *("chrome-extension://abcdefghijklmnop", "vscode-webview://0lj9hh483", "app://obsidian.md"),
    *("app://-", "safari-web-extension://9D9A3C7E-5F0B", "http://[::ffff:102:304]"),
)


@pytest.mark.parametrize("origin", SENDABLE)
def test_an_origin_that_a_browser_sends_is_taken(origin):
    assert expect_sendable([origin]) == {origin}


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        ("https://Example.com", "'https://example.com'"),
        ("HTTPS://example.com", "'https://example.com'"),
        ("https://example.com:443", "'https://example.com'"),
        ("http://example.com:80", "'http://example.com'"),
        ("https://example.com:", "'https://example.com'"),
        ("https://example.com:08443", "'https://example.com:8443'"),
        ("https://example.com/", "'https://example.com'"),
        ("https://example.com/app", "'https://example.com'"),
        ("https://example.com\\", "'https://example.com'"),
        ("https://example.com?x=1", "'https://example.com'"),
        ("https://example.com#x", "'https://example.com'"),
        ("https://ann:secret@example.com", "'https://example.com'"),
        ("wss://example.com", "'https://example.com'"),
        ("ws://example.com:80", "'http://example.com'"),
        (" https://example.com", "'https://example.com'"),
        ("https://example.com\n", "'https://example.com'"),
        ("https://bücher.example", "'https://xn--bcher-kva.example'"),
        ("http://[0:0::1]", r"'http://\[::1\]'"),
        ("http://[::FFFF:1.2.3.4]", r"'http://\[::ffff:102:304\]'"),
        ("http://127.1:8000", "'http://127.0.0.1:8000'"),
        ("NULL", "'null'"),
        ("file:///home/ann/page.html", "'file://'"),
        ("Capacitor://localhost/", "'capacitor://localhost'"),
        ("chrome-extension://abc/page.html", "'chrome-extension://abc'"),
        ("example.com", "start with https://"),
        ("//example.com", "start with https://"),
        ("localhost:3000", "start with https://"),
        ("https:/example.com", "start with https://"),
        ("https://*.example.com", "a star stands alone"),
        ("http://localhost:*", "a star stands alone"),
        ("chrome-extension://*", "a star stands alone"),
        ("https://a.example,https://b.example", "several strings"),
        ("https://a.example https://b.example", "several strings"),
        ("", "it is empty"),
        ("https://faß.example", "punycode"),
        ("https://example.com:port", "Port could not be cast"),
        ("https://example.com:65536", "Port out of range"),
        ("https://example.com:0", "port 0"),
        ("https://", "no host name"),
        ("https:///example.com", "no host name"),
        ("https://a..example", "no host name"),
        ("https://ex%61mple.com", "no host name"),
        ("'https://example.com'", "no scheme"),
        ("blob:https://example.com/1", "no scheme"),
        ("http://1.2.3.256", "no IPv4 address"),
        ("http://[::1", "IPv6"),
        ("http://[fe80::1%eth0]", "zone"),
        ("app://", "as it stands in the Origin header"),
        ("app://bücher", "as it stands in the Origin header"),
    ],
)
def test_one_that_no_browser_sends_is_refused_with_what_to_write(entry, remedy):
    with pytest.raises(ValueError, match=f"never sends .*: .*{remedy}"):
        expect_sendable(["https://good.example", entry])


def test_what_is_advised_is_taken():
    with pytest.raises(ValueError, match="write") as refused:
        expect_sendable(["wss://Ann@BÜCHER.example:0443/chat?x"])
    advised = str(refused.value).rpartition("write ")[2].strip("'")
    assert expect_sendable([advised]) == {"https://xn--bcher-kva.example"}


@pytest.mark.parametrize(
    "origins", ["https://example.com", None, b"https://example.com", [None], [["*"]]]
)
def test_what_is_no_collection_of_strings_is_refused(origins):
    with pytest.raises(TypeError, match=r"collection of strings, or '\*'|unhashable"):
        expect_sendable(origins)


def test_the_list_may_be_one_that_can_be_read_once():
    assert expect_sendable(iter(["https://a.example"])) == {"https://a.example"}


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://EXAMPLE.com", "Example.COM"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://127.0.0.1:8000", "localhost:8000"),
        ("http://localhost:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "localhost:8000"),
        ("http://localhost", "127.0.0.1"),
    ],
)
def test_the_same_host_and_port_are_the_same(origin, host):
    assert is_same(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com:8443", "example.com"),
        ("https://example.com", "example.com:8443"),
        ("http://localhost:8000", "localhost:8001"),
        ("http://localhost:8000", "127.0.0.1:8001"),
    ],
)
def test_another_port_is_told_from_another_host(origin, host):
    assert not is_same(origin, host)
    assert difference(origin, host) == "port"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com.evil.example", "example.com"),
        ("https://example.com@evil.example", "example.com"),
        ("http://127.0.0.1.evil.example:8000", "127.0.0.1:8000"),
        ("http://127.0.0.1:8000", "127.0.0.2:8000"),
        ("http://localhost.evil.example", "localhost"),
        ("app://example.com", "example.com"),
        ("chrome-extension://localhost", "127.0.0.1"),
        ("null", "null"),
        ("", ""),
        ("http://", ""),
        ("http://example.com:port", "example.com"),
        ("http://[::1", "[::1"),
    ],
)
def test_anything_else_is_another_host(origin, host):
    assert not is_same(origin, host)
    assert difference(origin, host) == "host"
