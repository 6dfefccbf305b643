"""To come."""


class Anatomy: ...


def anatomy(data: bytes) -> Anatomy: ...
