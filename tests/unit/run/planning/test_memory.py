"""What a plan says about memory: numbers worked by hand."""

from __future__ import annotations

from dataclasses import replace

from gradual.run.planning.memory import MemoryNeed, MemoryPlan

GIGABYTE = 10**9
PLAN = MemoryPlan(
    device="a GPU",
    device_bytes=24 * GIGABYTE,
    weights=16 * GIGABYTE,
    own=MemoryNeed("", 18 * GIGABYTE, 30 * GIGABYTE),
    others=(MemoryNeed("again", 18 * GIGABYTE, 21 * GIGABYTE), MemoryNeed("nf4", 7 * GIGABYTE, 19 * GIGABYTE)),
)


def test_a_run_that_fits_is_told_in_one_line() -> None:
    plan = replace(PLAN, device_bytes=80 * GIGABYTE)
    assert plan.fits
    (line,) = plan.lines()
    assert line.replace("\u00a0", " ") == (
        "memory: probes 18.0 GB, training 30.0 GB (weights 16.0 GB); a GPU has 80.0 GB"
    )


def test_what_would_fit_is_named_with_what_it_takes() -> None:
    assert not PLAN.fits
    told = "\n".join(PLAN.lines()).replace("\u00a0", " ")
    assert "again would fit: 21.0 GB" in told  # 24 GB, of which 92 % can be used: 22.08
    assert "nf4 would fit: 19.0 GB" in told
    assert "trained in parts" in told
    assert "device_map" not in told


def test_where_nothing_fits_the_least_is_named() -> None:
    told = "\n".join(replace(PLAN, device_bytes=8 * GIGABYTE).lines()).replace("\u00a0", " ")
    assert "nothing of this would fit; least takes nf4: 19.0 GB" in told
    assert "device_map=auto" in told
