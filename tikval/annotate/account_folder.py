"""A folder in which accounts are coded: everybody codes every account, and it names them, since they are what is coded.

accounts.json    who codes, and each account with what is looked at; files relative to sheets/
genres.yaml      the questions and the list of genres as they were when the folder was made
README.txt       that people are named in it
sheets/          what coders get: ann.html, ann.xlsx ...
returned/        where the tables that coders have saved are put
merged/          what is made of them
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Self

from tikval.annotate.account_material import AccountMaterial
from tikval.annotate.account_questions import account_questions, load_genres
from tikval.annotate.coding_media import Media, place_media
from tikval.annotate.coding_protocol import utc_now
from tikval.annotate.material import CodingVideo
from tikval.annotate.sheet import CodingSheet, SheetItem
from tikval.annotate.sheets.page import write_page
from tikval.annotate.sheets.workbook import write_workbook_sheet
from tikval.config import UserError, validate
from tikval.config.base import Config
from tikval.evaluate.faithfulness_sample import in_random_order
from tikval.files import make_folder, parse_json, read_bytes, write_bytes
from tikval.sources.tables import Say, print_note

FILE: Final = "accounts.json"
_README: Final = """\
The sheets in this folder name accounts: they are what is coded. Nobody but the coders and whoever runs the study reads
it, and its files are yours alone. When the table of accounts is made, delete the folder and the copies of the coders.
"""


class ListedPost(Config):
    video_id: str
    text: str
    files: tuple[str, ...] = ()


class ListedAccount(Config):
    account: str
    source: str | None = None
    posts: tuple[ListedPost, ...] = ()  # to look at; each goes by itself when it is erased

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file for post in self.posts for file in post.files)

    @property
    def caption(self) -> str:
        """What is known of the posts, a line each."""
        return "\n".join(f"{n}. {post.text}" for n, post in enumerate(self.posts, start=1))


class AccountProtocol(Config):
    """accounts.json."""

    format: Literal[1] = 1
    made_at: str
    coders: tuple[str, ...]
    third: str
    genres: str  # GenreList.mark of genres.yaml
    accounts: tuple[ListedAccount, ...]


class AccountFolder:
    def __init__(self, path: Path) -> None:
        """Open a folder. Raises UserError where none was made."""
        self.path = path
        data = read_bytes(str(path / FILE))
        if data is None:
            raise UserError(
                f"{path}: no {FILE} lies there; tikval annotate accounts sheet POSTS --out {path} makes one"
            )
        self.protocol = validate(AccountProtocol, parse_json(data, str(path / FILE)), str(path / FILE))
        self.genres = load_genres(path / "genres.yaml")
        if self.genres.mark != self.protocol.genres:
            raise UserError(
                f"{path / 'genres.yaml'}: is {self.genres.mark}, and the sheets were made from {self.protocol.genres}"
            )

    @classmethod
    def make(
        cls,
        path: Path,
        coders: Sequence[str],
        third: str,
        genres: Path,
        found: Sequence[AccountMaterial],
        media: Media = "copy",
        say: Say = print_note,
    ) -> Self:
        """A new folder with everybody's sheets. Raises UserError where there is one."""
        if (path / FILE).exists():
            raise UserError(f"{path}: accounts are coded there already; name another folder, or delete it")
        mark = load_genres(genres).mark
        for folder in ("sheets", "returned"):
            make_folder(path / folder)
        files = _placed(found, path, media, say)
        accounts = tuple(
            ListedAccount(
                account=one.account,
                source=one.source,
                posts=tuple(
                    ListedPost(video_id=post.video_id, text=post.text, files=files.get(post.video_id, ()))
                    for post in one.posts
                ),
            )
            for one in found
        )
        protocol = AccountProtocol(
            made_at=utc_now(),
            coders=tuple(coders),
            third=third,
            genres=mark,
            accounts=accounts,
        )
        write_bytes(str(path / "README.txt"), _README.encode())
        write_bytes(str(path / "genres.yaml"), genres.read_bytes())
        write_bytes(str(path / FILE), protocol.model_dump_json(indent=2).encode())
        made = cls(path)
        for coder in coders:
            made.write_sheet(coder, made.sheet_of(coder))
        return made

    def items(self) -> dict[str, SheetItem]:
        """The material of each account, by its name."""
        return {
            one.account: SheetItem(one.account, "main", one.files, one.caption)
            for one in self.protocol.accounts
        }

    def sheet_of(self, coder: str, items: Sequence[SheetItem] | None = None) -> CodingSheet:
        """A coder's sheet over all accounts, or over `items`, in an order of the coder's own."""
        order = sorted(
            items if items is not None else self.items().values(),
            key=lambda one: in_random_order(coder, one.item),
        )
        rules = tuple((rule.title, rule.text) for rule in self.genres.guidelines)
        questions = account_questions(self.genres)
        return CodingSheet(coder, "Accounts", self.genres.mark, rules, questions, tuple(order), key="account")

    def write_sheet(self, name: str, sheet: CodingSheet) -> Path:
        """Write NAME.html and NAME.xlsx; a sheet of other content that is there stays, and NAME-2 comes beside it."""
        page, n = write_page(sheet), 1
        while (before := read_bytes(str(self._html(name, n)))) is not None and before != page:
            n += 1
        if before is None:
            write_bytes(str(self._html(name, n)), page)
            write_bytes(str(self._html(name, n).with_suffix(".xlsx")), write_workbook_sheet(sheet))
        return self._html(name, n)

    def _html(self, name: str, n: int) -> Path:
        return self.path / "sheets" / f"{name}{'' if n == 1 else f'-{n}'}.html"

    def returned(self) -> list[Path]:
        """The files that were put into returned/, by name; hidden ones and a spreadsheet's locks are not."""
        return sorted(
            path
            for path in (self.path / "returned").glob("*")
            if path.is_file() and not path.name.startswith((".", "~$"))
        )


def _placed(
    found: Sequence[AccountMaterial], folder: Path, media: Media, say: Say
) -> dict[str, tuple[str, ...]]:
    """The files of posts by video_id, relative to sheets/; they are called by number, and what is said names nobody."""
    posts = {post.video_id: post for one in found for post in one.posts if post.files}
    names = {f"post-{n}": video_id for n, video_id in enumerate(posts, start=1)}
    videos = [CodingVideo(name, posts[video_id].files) for name, video_id in names.items()]
    placed, left_out = place_media(videos, folder, media, say) if videos else ([], {})
    if left_out:
        say(f"posts whose files cannot be read, so that only their captions are there: {len(left_out)}")
    return {names[video.item]: video.files for video in placed}
