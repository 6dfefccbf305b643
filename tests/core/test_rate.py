"""How often something may happen."""

import pytest

from chatlib.core import rate
from chatlib.core.rate import Bucket, Buckets
from chatlib.core.rooms.talk import Limits


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes when a test says so: `clock.pass_by(seconds)`."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        def pass_by(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(rate, "time", clock)
    return clock


def taken(bucket, number=1000):
    """Return how many of so many at once may be taken."""
    return sum(bucket.take() for _ in range(number))


def test_what_some_seconds_bring_may_come_at_once_and_no_more(clock):
    bucket = Bucket(2, 10)
    assert taken(bucket) == 20
    clock.pass_by(3)
    assert taken(bucket) == 6
    clock.pass_by(1000)
    assert taken(bucket) == 20


@pytest.mark.parametrize("used", [20, 21, 50, 1000])
def test_after_the_wait_there_is_one_to_take_and_not_before(clock, used):
    bucket = Bucket(2, 10)
    taken(bucket, used)
    wait = bucket.wait()
    assert 0 < wait <= 0.5
    clock.pass_by(wait * 0.99)
    assert not bucket.take()
    clock.pass_by(bucket.wait() + 1e-6)
    assert bucket.take()


def test_a_full_bucket_is_nothing_to_wait_for(clock):
    assert Bucket(2, 10).wait() == 0


def test_a_rate_of_less_than_one_lets_one_through_at_once(clock):
    bucket = Bucket(0.1)
    assert taken(bucket) == 1
    assert bucket.wait() == pytest.approx(10)


def test_each_name_has_a_bucket_of_its_own(clock):
    buckets = Buckets(lambda: Bucket(2, 10))
    assert taken(buckets.of("ana")) == 20
    assert taken(buckets.of("ben")) == 20
    assert taken(buckets.of("ana")) == 0


def test_names_that_say_no_more_take_no_memory(clock):
    buckets = Buckets(lambda: Bucket(2, 10), most=100)
    for number in range(5000):
        buckets.of(f"name {number}").take()
        clock.pass_by(0.01)
    assert len(buckets._buckets) <= 300


def test_a_bucket_that_is_not_full_is_not_forgotten(clock):
    buckets = Buckets(lambda: Bucket(2, 10), most=10)
    assert taken(buckets.of("ana")) == 20
    for number in range(1000):
        buckets.of(f"name {number}")
    assert taken(buckets.of("ana")) == 0


@pytest.mark.parametrize("name", vars(Limits()))
def test_a_limit_that_lets_nothing_through_is_refused(name):
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"expected {name} above 0, got {value}"):
            Limits(**{name: value})
