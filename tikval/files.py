"""Files on local disk and object stores alike, through pyarrow's filesystems. Nothing is ever half a file."""

import base64
import contextlib
import errno
import functools
import io
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from tikval.config import UserError
from tikval.config.base import SECRET
from tikval.machine import ScratchFolder

_COPIED_BYTES: Final = 2**23  # to a store at once
UMASK: Final = "TIKVAL_UMASK"
SCHEMES: Final = ("file", "s3", "gs", "abfs")
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # options after `?` could name another server


def is_local(uri: str) -> bool:
    return "://" not in uri


def filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem of a local path or URI (`s3://`, `gs://`, ...), and the path on it.

    What follows the bucket is a name and not an encoded URI: `#`, `?`, `%` and spaces in it stand for themselves.
    Raises UserError for other schemes than SCHEMES and for a bucket's name with options or credentials in it, before
    anything is asked of anybody; OSError where the store does not answer.
    """
    if is_local(uri):
        return pafs.LocalFileSystem(), str(Path(uri).absolute())
    scheme, _, rest = uri.partition("://")
    bucket, slash, key = rest.partition("/")
    if scheme not in SCHEMES:
        raise UserError(
            f"{plain_address(uri)}: {scheme}:// is not opened; {' '.join(SCHEMES)} and local paths are"
        )
    if scheme == "file":
        return pafs.LocalFileSystem(), rest
    if not _BUCKET.fullmatch(bucket):
        raise UserError(
            f"{plain_address(uri)}: a bucket's name has letters, digits, `.`, `_` and `-` only; where its store lies "
            "and who asks come from the environment"
        )
    fs, root = _store(f"{scheme}://{bucket}", _endpoint() if scheme == "s3" else None)
    return fs, f"{root}{slash}{key}"


def plain_address(uri: str) -> str:
    """An address without what may be a secret in it: of one that is not opened, scheme and the file's name."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not separator or (scheme in SCHEMES and (scheme == "file" or _BUCKET.fullmatch(bucket))):
        return uri
    name = re.split(r"[?#]", key.rpartition("/")[2])[0]
    return f"{scheme[:20]}://[...]/{name}"


_USERS: Final = (re.compile(r"(\w://)[^/\s]*@"), re.compile(rf"((?<!{')(?<!'.join(SCHEMES)})://)\S*@"))
_VALUE: Final = re.compile(rf"({SECRET.pattern})[^&\s]*", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """A text with [...] in place of a user in an address, and of what looks like a password or a key in a query."""
    for user in _USERS:  # of an address that is not opened, up to the last @: a password may hold anything
        text = user.sub(r"\1[...]@", text)
    return _VALUE.sub(r"\1[...]", text)


def _endpoint() -> str | None:
    """Where an S3-compatible store answers, as AWS's own tools are told; pyarrow reads neither variable."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


# a store that lists a large folder says nothing meanwhile: without this a client gives up after 3 s
_SILENT_SECONDS: Final = 60


@functools.lru_cache(maxsize=64)  # a client opens connections and asks where its bucket lies
def _store(bucket: str, endpoint: str | None) -> tuple[pafs.FileSystem, str]:
    if endpoint:
        return pafs.S3FileSystem(
            endpoint_override=endpoint, request_timeout=_SILENT_SECONDS
        ), bucket.removeprefix("s3://")
    try:
        fs, root = pafs.FileSystem.from_uri(bucket)
    except pa.ArrowInvalid as err:
        raise UserError(f"{bucket}: not a path or an object-store URI that can be opened ({err})") from err
    if isinstance(fs, pafs.S3FileSystem):  # an address cannot say how long
        fs = pafs.S3FileSystem(region=fs.region, request_timeout=_SILENT_SECONDS)
    return fs, root.rstrip("/")


def _umask() -> int:
    """What is taken from others' rights on new files and folders: TIKVAL_UMASK, in octal; 077 leaves its user's alone.

    The process's own mask does not count: it is most machines' default and nobody's decision, and a cluster's workers
    have another. Raises UserError for what is no mask.
    """
    text = os.environ.get(UMASK) or "077"
    if not re.fullmatch("0?[0-7]{3}", text) or text[-3] != "0":
        raise UserError(
            f"{UMASK}={text}: expected three octal digits that leave the user all rights, such as 027"
        )
    return int(text, 8)


def make_folder(path: Path) -> None:
    """Make a local folder and those above it, 0700 unless TIKVAL_UMASK says otherwise; one that is there stays."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # by another process, since
            mode = 0o777 & ~_umask()
            folder.mkdir(mode)
            with contextlib.suppress(OSError):  # the process's own mask may have taken more
                folder.chmod(mode)


def _new_file(path: Path) -> int:
    """A new local file, 0600 unless TIKVAL_UMASK says otherwise, open for writing."""
    mode = 0o666 & ~_umask()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with contextlib.suppress(OSError):
        os.fchmod(file, mode)
    return file


def open_lock(path: Path) -> IO[str]:
    """A file to lock, made where there is none, with its text to read and replace; a link is not followed.

    Raises OSError for a link, for what is no file, and where the folder cannot be written.
    """
    make_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(_new_file(path))
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:  # another name of it may be anybody's
        os.close(file)
        raise OSError(errno.EINVAL, f"{path.name} is not a file of its own")
    return os.fdopen(file, "r+", encoding="utf-8")


def write_bytes(uri: str, data: bytes | pa.Buffer) -> None:
    """Write a whole file or none of it: on a local disk through a temporary name, on a store in one put.

    What is new on a local disk is its user's alone, unless TIKVAL_UMASK says otherwise.
    """
    fs, path = filesystem(uri)
    if not is_local(uri):
        with fs.open_output_stream(path) as stream:
            stream.write(data)
        return
    temporary = Path(path).with_name(f".tmp-{secrets.token_hex(8)}")
    make_folder(temporary.parent)
    try:
        with os.fdopen(_new_file(temporary), "wb") as file:
            file.write(memoryview(data))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def move_file(made: Path, uri: str) -> None:
    """Let a whole local file take the place of `uri`, on the same disk or on an object store, with rights as above."""
    fs, path = filesystem(uri)
    with made.open("rb") as file:
        if is_local(uri):
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            os.fsync(file.fileno())
            made.replace(path)
            return
        with fs.open_output_stream(path) as stream:
            shutil.copyfileobj(file, stream, _COPIED_BYTES)


def fetch_folder(uri: str) -> str:
    """A local folder with the files of one on an object store; a local one is its own.

    Raises UserError where there are none, where the disk has no room for them (asked before a byte is read), and for
    names that lead out of the folder; OSError.
    """
    return uri if is_local(uri) else _fetched(uri).path


@functools.cache  # once per process, which takes its copy along when it ends
def _fetched(uri: str) -> ScratchFolder:
    fs, path = filesystem(uri)
    found = fs.get_file_info(pafs.FileSelector(path, recursive=True, allow_not_found=True))
    files = [info for info in found if info.type == pafs.FileType.File]
    if not files:
        raise UserError(f"{uri}: no such folder, or nothing is in it")
    if any(".." in PurePosixPath(info.path).parts for info in files):
        raise UserError(f"{uri}: has a file whose name leads out of the folder")
    place = ScratchFolder()
    needed, free = sum(info.size or 0 for info in files), shutil.disk_usage(place.path).free
    if needed > free:
        raise UserError(
            f"{uri}: {needed / 2**20:,.0f} MB, and the disk for temporary files has {free / 2**20:,.0f} MB left"
        )
    pafs.copy_files(path, place.path, source_filesystem=fs)
    return place


def write_table(uri: str, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(uri, sink.getvalue())


def read_bytes(uri: str) -> bytes | None:
    """A file's bytes; None where there is no such file."""
    fs, path = filesystem(uri)
    try:
        with fs.open_input_stream(path) as stream:
            data: bytes = stream.read()
            return data
    except FileNotFoundError:
        return None


def open_stream(uri: str) -> IO[bytes]:
    """A file to be read in bounded memory, at any place. Raises OSError for what is none, also for a device."""
    fs, path = filesystem(uri)
    kind = fs.get_file_info(path).type
    if kind == pafs.FileType.NotFound:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)
    if kind != pafs.FileType.File:
        raise OSError(errno.EINVAL, "not a file")
    if is_local(uri):
        return Path(path).open("rb")
    return io.BufferedReader(fs.open_input_file(path), _COPIED_BYTES)


def parse_json(data: bytes | str, where: str) -> Any:
    """The value of a file that tikval wrote. Raises UserError, naming it, where somebody else did."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as err:
        raise UserError(f"{where}: not what tikval wrote there ({str(err)[:100]})") from err


def read_parquet(uri: str, columns: list[str] | None = None) -> pa.Table:
    """One Parquet file of a local disk or an object store. Raises UserError for columns of extension types."""
    fs, path = filesystem(uri)
    with fs.open_input_file(path) as file:
        refuse_extension_types(file, uri)
        return pq.read_table(file, columns=columns)


def iter_parquet(uri: str, columns: Sequence[str] | None, rows: int) -> Iterator[pa.Table]:
    """One Parquet file, at most `rows` at a time; of `columns` (None: all) those that it has.

    At least one table, which may be empty. Raises UserError for columns of extension types.
    """
    fs, path = filesystem(uri)
    with fs.open_input_file(path) as file:
        refuse_extension_types(file, uri)
        # read ahead is the whole file at once, which of a disk gains nothing; a store would be asked for each column
        parquet = pq.ParquetFile(file, pre_buffer=not is_local(uri))
        there = parquet.schema_arrow.names
        wanted = there if columns is None else [name for name in columns if name in there]
        if parquet.metadata.num_rows == 0:
            yield parquet.read(columns=wanted)
        for batch in parquet.iter_batches(rows, columns=wanted):
            yield pa.Table.from_batches([batch])


def read_schema(uri: str) -> pa.Schema:
    """The columns of a Parquet file, without its rows. Raises UserError for columns of extension types."""
    fs, path = filesystem(uri)
    with fs.open_input_file(path) as file:
        refuse_extension_types(file, uri)
        return pq.read_schema(file)


def check_parquet(uri: str) -> None:
    """Check a Parquet file before somebody else reads it: raises UserError for columns of extension types."""
    fs, path = filesystem(uri)
    with fs.open_input_file(path) as file:
        refuse_extension_types(file, uri)


def _base64_of(text: bytes) -> tuple[bytes, ...]:
    """What base64 makes of a text wherever it stands among others: the letters that depend on nothing else."""
    made = []
    for shift in range(3):
        letters = base64.b64encode(bytes(shift) + text)
        made.append(letters[-(-shift * 8 // 6) : (shift + len(text)) * 8 // 6])
    return tuple(made)


_EXTENSION: Final = _base64_of(b"ARROW:extension:name")
_FOOTER: Final = 8  # bytes at the end of a Parquet file: the length of its facts, and four letters


def refuse_extension_types(file: Any, uri: str) -> None:
    """Raise UserError for columns of types that run code when somebody looks at a cell, or at the schema.

    tikval writes no such type. The facts at the file's end are looked at as bytes: what reads them as a schema makes
    the types.
    """
    end = file.size()
    file.seek(max(0, end - _FOOTER))
    length = int.from_bytes(file.read(4), "little")
    file.seek(max(0, end - _FOOTER - length))
    facts = file.read(length)
    file.seek(0)
    if any(mark in facts for mark in _EXTENSION):
        raise UserError(f"{uri}: has a column of an extension type, which is refused: it may run code")


def list_files(uri: str, suffix: str, *, include_side_tables: bool = False) -> list[str]:
    """Names of the files of one folder (not below it) with a suffix, sorted, without temporary ones.

    Names that begin with `_` are side tables, left out unless asked for.
    """
    fs, path = filesystem(uri)
    infos = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    return sorted(
        info.base_name
        for info in infos
        if info.type == pafs.FileType.File
        and info.base_name.endswith(suffix)
        and not info.base_name.startswith("." if include_side_tables else (".", "_"))
    )


def has_folder(uri: str) -> bool:
    """Whether there is such a folder. Raises UserError for an address that is not opened, OSError."""
    fs, path = filesystem(uri)
    return bool(fs.get_file_info(path).type == pafs.FileType.Directory)


def has_file(uri: str) -> bool:
    """Whether there is such a file, not empty. Raises UserError for an address that is not opened, OSError."""
    fs, path = filesystem(uri)
    info = fs.get_file_info(path)
    return bool(info.type == pafs.FileType.File and info.size)


def delete(uri: str) -> None:
    fs, path = filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.delete_file(path)


def delete_folder(uri: str) -> None:
    """Delete a folder with all that is in it; nothing happens where there is none."""
    fs, path = filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.delete_dir(path)
