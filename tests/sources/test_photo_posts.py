"""Names of files -> photo posts: what downloaders write, in order, and what is passed over."""

import random
from collections.abc import Sequence

import pytest

from tikval.sources.catalog import SUFFIXES
from tikval.sources.photo_posts import Grouped, group_photo_posts, passed_over_line

ID = "7412345678901234567"
OTHER = "7412345678901239999"


def grouped(*names: str, root: str = "") -> Grouped:
    return group_photo_posts(names, SUFFIXES, root)


def files(*names: str, root: str = "") -> list[tuple[str, ...]]:
    return [post.files for post in grouped(*names, root=root).posts.values()]


@pytest.mark.parametrize(
    "names",
    [
        (f"{ID}_1.jpg", f"{ID}_2.png", f"{ID}_10.jpg", f"{ID}.mp3"),
        (f"{ID}-01.webp", f"{ID}-02.webp", f"{ID}.m4a"),
        (f"{ID} (1).jpeg", f"{ID} (2).jpeg", f"{ID}.opus"),
        (f"{ID}_0.png", f"{ID}_1.png", f"{ID}.ogg"),
        (f"@user_photo_{ID}_1.jpg", f"@user_photo_{ID}_2.jpg", f"@user_photo_{ID}.mp3"),
        (f"{ID}_image_1.jpg", f"{ID}_image_2.jpg", f"{ID}_music.mp3"),
        (f"{ID}_01 Top 10 covers [a1].jpg", f"{ID}_02 Top 10 covers [b2].jpg", f"{ID} Top 10 covers.mp3"),
        (f"A title [{ID}]_1.jpg", f"A title [{ID}]_2.jpg", f"A title [{ID}].aac"),
        (f"SnapTik_Photo_{ID}_1.JPG", f"SnapTik_Photo_{ID}_2.JPG", f"SnapTik_{ID}.WAV"),
        (f"{ID}/1.jpg", f"{ID}/2.jpg", f"{ID}/11.jpg", f"{ID}/music.mp3"),
        (f"a/{ID}/image_1.jpg", f"a/{ID}/image_2.jpg", f"a/{ID}/whatever.mp3"),
        (f"a/{ID}/images/01.jpg", f"a/{ID}/images/02.jpg", f"a/{ID}/audio.mp3"),
        (f"pictures/{ID}_1.jpg", f"pictures/{ID}_2.jpg", f"sounds/{ID}.mp3"),
        (f"{ID}_1.jpg", f"{ID}_2.jpg"),
        (f"{ID}_1.jpg",),
        (f"{ID}_p0.jpg", f"{ID}_p1.jpg", f"{ID}.mp3"),
        (f"tool_{ID}_v3_1.jpg", f"tool_{ID}_v3_2.jpg", f"tool_{ID}.mp3"),
        (f"{ID}_1_of_3.jpg", f"{ID}_2_of_3.jpg", f"{ID}_3_of_3.jpg"),
        (f"{ID}.jpg", f"{ID}.mp3"),
        (f"{ID}/photo.jpg", f"{ID}/audio.mp3"),
        ("holiday_1.jpg", "holiday_2.jpg", "holiday.mp3"),
        ("Cx_-9a1 (1).jpg", "Cx_-9a1 (2).jpg", "Cx_-9a1.mp3"),
        ("a/summer/1.jpg", "a/summer/2.jpg", "a/summer/music.mp3"),
    ],
)
def test_the_files_of_a_post_are_one_post_in_order(names: tuple[str, ...]) -> None:
    """Whatever the order that a listing has them in."""
    for seed in range(5):
        mixed = random.Random(seed).sample(names, len(names))
        assert files(*mixed) == [names]
        assert not grouped(*mixed).passed_over


@pytest.mark.parametrize(
    ("names", "post"),
    [
        ((f"{ID}.mp4", f"{ID}.jpg"), ()),  # a thumbnail
        ((f"{ID}.mp4", f"{ID}_1.jpg", f"{ID}_2.jpg", f"{ID}.mp3"), ()),  # the post's own video wins
        ((f"{ID}.jpg", f"{ID}.info.json", f"{ID}.mp3"), ()),  # as yt-dlp -x writes them
        ((f"{ID}.jpg",), ()),
        ((f"{ID}_640x960.jpg",), ()),
        ((f"{ID}_720p.jpg",), ()),
        ((f"{ID}.mp3",), ()),
        ((f"{ID}_cover.jpg", f"{ID}_avatar_1.jpg", f"{ID}.mp3"), ()),
        ((f"{ID}_1.jpg", f"{ID}.jpg", f"{ID}_cover.jpg"), (f"{ID}_1.jpg",)),
        ((f"{ID}_1.jpg", f"{ID}_1.webp", f"{ID}_2.webp"), (f"{ID}_1.jpg", f"{ID}_2.webp")),
        ((f"{ID}_1.jpg", f"{ID}.mp3", f"{ID}.m4a"), (f"{ID}_1.jpg", f"{ID}.mp3")),
        (("holiday_1.jpg", "holiday_2.jpg"), ()),
        (("holiday_1.jpg", "holiday.mp3"), ()),
        (("1.jpg", "2.jpg", "music.mp3"), ()),  # a folder of anything
        (("a/summer/1.jpg", "a/summer/2.jpg", "a/summer/lecture.mp3"), ()),
        (("avatar.jpg", "thumb_1.jpg", "thumb_2.jpg", "notes.txt", f"{ID}.mp4.part", "x.json"), ()),
        ((f"{ID}{ID}_1.jpg", "20240101_1.jpg", "1234567890123456789012_1.jpg"), ()),
    ],
)
def test_what_is_no_picture_of_a_post_is_passed_over(names: tuple[str, ...], post: tuple[str, ...]) -> None:
    found = grouped(*names)
    assert [each.files for each in found.posts.values()] == ([post] if post else [])
    known = (*post, f"{ID}.mp4", f"{ID}.info.json")  # what a downloader wrote of a post is read as that
    assert set(found.passed_over) == set(names).difference(known)


def test_posts_do_not_mix() -> None:
    names = [f"{folder}{i}_{n}.jpg" for folder in ("", "copy/") for i in (ID, OTHER) for n in (1, 2)]
    assert files(*names, f"{ID}.mp3") == [
        (f"{ID}_1.jpg", f"{ID}_2.jpg", f"{ID}.mp3"),
        (f"{OTHER}_1.jpg", f"{OTHER}_2.jpg"),
        (f"copy/{ID}_1.jpg", f"copy/{ID}_2.jpg"),
        (f"copy/{OTHER}_1.jpg", f"copy/{OTHER}_2.jpg"),
    ]


def test_the_folder_itself_may_be_the_post() -> None:
    assert files("1.jpg", "2.jpg", "music.mp3", root=ID) == [("1.jpg", "2.jpg", "music.mp3")]
    (post,) = grouped("1.jpg", root=f"user_{ID}").posts.values()
    assert post.name == f"user_{ID}"


def test_every_name_is_a_video_of_a_post_or_passed_over() -> None:
    """Of heaps of names, each once."""
    dice = random.Random(7)
    parts = [ID, OTHER, "holiday", "_1", "_2", "-10", " (3)", "/", "cover", "music", "é", "@x_photo_", " "]
    ends = [".jpg", ".png", ".mp3", ".mp4", ".json", ".info.json", ".part", "", ".webp", ".m4a", ".heic"]
    for _ in range(300):
        stems = ["".join(dice.choices(parts, k=dice.randint(1, 4))).strip("/. ") or "a" for _ in range(30)]
        names = {stem + dice.choice(ends) for stem in stems}
        found = grouped(*sorted(names))
        used = [name for post in found.posts.values() for name in post.files]
        videos = [name for name in names if name.endswith(".mp4")]
        told = [name for name in names if name.endswith(".info.json")]
        assert sorted([*used, *found.passed_over, *videos, *told]) == sorted(names)
        assert all(first == post.pictures[0] for first, post in found.posts.items())


def test_what_is_passed_over_is_told_in_one_line_without_names_of_people() -> None:
    names: Sequence[str] = [
        "a/cover.jpg",
        "b.jpg",
        f"@jane_photo_{ID}.mp3",
        "@jane.json",
        *(f"{n}.txt" for n in range(9)),
    ]
    assert passed_over_line("media", names) == (
        "media: 13 files are neither a video nor of a photo post and passed over: 9 .txt (0.txt, 1.txt, 2.txt, ...); "
        f"2 .jpg (cover.jpg, b.jpg); 1 .mp3 ({ID}.mp3); 1 .json (@....json)"
    )
