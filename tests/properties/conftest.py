"""Settings of all property-based tests: the same examples in every run, no time limit for one, nothing stored."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "apsam",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("apsam")
