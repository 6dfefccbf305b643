"""The configuration of an nginx of one's own: what stands around the reader's part, and in it."""

import grp
import os
import pwd
import re
import resource
from collections.abc import Mapping

from chatlib.lab.loopback import ServerError

MOST_FILES = 8192
# What stands around the reader's part. Each worker needs a place for what it cannot keep in memory,
# and the one that nginx was built with belongs to root. The log has notices, which tell what nginx
# is doing: `error_log` leaves them out. It logs a request when it has answered it: once it has
# answered another one, at its socket, that is done.
OUTER = """\
daemon off;
{user}worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections {files}; }}
http {{
    {access_log}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/http.conf;
    server {{ listen unix:{folder}/asked; access_log off; return 204; }}
}}
"""
PLACEHOLDER = re.compile(r"@([A-Z][A-Z0-9_]*)@")


def around(folder: str, access_log: str | None) -> str:
    """Return what includes `http.conf`, and keeps whatever nginx writes in `folder`.

    Args:
        folder: the path of the folder.
        access_log: where requests are logged; None: what is included says that.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = MOST_FILES if files == resource.RLIM_INFINITY else min(files, MOST_FILES)
    user = ""
    if os.geteuid() == 0:  # else its workers become one who may not use the folder
        user = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};\n"
    log = "" if access_log is None else f"access_log {access_log};"
    return OUTER.format(folder=folder, files=files, user=user, access_log=log)


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with the value of each `@NAME@` in its place.

    Raises:
        ServerError: there is no such value.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] in values:
            return values[match[1]]
        if match[1] in ("CERTIFICATE", "KEY"):
            raise ServerError(f"{match[0]} needs certificate=True")
        there = ", ".join(f"@{name}@" for name in sorted(values))
        raise ServerError(f"there is nothing to put in for {match[0]}; there are {there}")

    return PLACEHOLDER.sub(value, text)
