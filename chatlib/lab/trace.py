"""To come."""


class Trace: ...


def trace(server: object) -> Trace: ...
