"""What choosing videos saves, what it does not, and that its intervals cover: the quick form of the benchmark."""

from benchmarks.next_videos import DESIGNS, SYSTEMS, measure


def test_choosing_videos_saves_and_covers_as_it_should() -> None:
    found = measure(quick=True)
    assert found["missed"] == []
    assert found["met"]
    assert {name: set(saved) for name, saved in found["saved"].items()} == {
        system.name: set(DESIGNS) for system in SYSTEMS
    }
