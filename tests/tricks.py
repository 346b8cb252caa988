"""Files named like videos that make a demuxer open other files or the network, where nothing keeps it from that."""

import struct
from collections.abc import Iterator
from pathlib import Path

from tests.mutations import box, rebuilt


def tricks(movie: bytes, canary: Path, url: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each; they name the file `canary`, which lies beside them, and the HTTP address `url`."""
    names = {
        "relative": canary.name,
        "absolute": str(canary),
        "file": f"file:{canary}",
        "file-url": f"file://{canary}",
        "http": url,
        "tcp": url.replace("http:", "tcp:").rsplit("/", 1)[0],
        "concat": f"concat:{canary}|{canary}",
        "subfile": f"subfile,,start,0,end,0,,:{canary}",
        "crypto": f"crypto:{canary}",
        "async": f"async:{canary}",
        "cache": f"cache:{url}",
    }
    for how, name in names.items():
        for kind, text in texts(name).items():
            yield f"{kind}-{how}", text.encode()
            yield f"{kind}-{how}-behind-a-head", box(b"ftyp", b"isom\0\0\2\0isomiso2") + text.encode()
        for kind, content in movies(movie, name).items():
            yield f"{kind}-{how}", content


def texts(name: str) -> dict[str, str]:
    """Playlists and manifests."""
    return {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{name}\n#EXT-X-ENDLIST\n",
        "m3u8-master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{name}\n",
        "m3u8-key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{name}"\n#EXTINF:2.0,\n{name}\n#EXT-X-ENDLIST\n',
        "m3u8-map": f'#EXTM3U\n#EXT-X-MAP:URI="{name}"\n#EXTINF:2.0,\n{name}\n#EXT-X-ENDLIST\n',
        "ffconcat": f"ffconcat version 1.0\nfile '{name}'\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" mediaPresentationDuration="PT2S"><Period>'
        f'<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{name}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={name}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "imf": '<?xml version="1.0"?><AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><AssetList>'
        f"<Asset><Id>1</Id><ChunkList><Chunk><Path>{name}</Path></Chunk></ChunkList></Asset></AssetList></AssetMap>",
        "asx": f'<asx version="3.0"><entry><ref href="{name}"/></entry></asx>',
        "smil": f'<smil><body><video src="{name}"/></body></smil>',
        "pls": f"[playlist]\nFile1={name}\nNumberOfEntries=1\n",
        "asf-reference": f"[Reference]\nRef1={name}\n",
        "rtsptext": f"RTSPtext\n{name}\n",
        "idx": f"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n# {name}\n",
        "avisynth": f'AVISource("{name}")\n',
        "svg": f'<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{name}"/></svg>',
    }


def movies(movie: bytes, name: str) -> dict[str, bytes]:
    """The MP4 file `movie`, with its media elsewhere."""
    path = name.encode()
    url = box(b"url ", bytes(4) + path + b"\0")
    elsewhere = {
        "dref-url": box(b"dref", bytes(4) + struct.pack(">I", 1) + url),
        "dref-urn": box(
            b"dref", bytes(4) + struct.pack(">I", 1) + box(b"urn ", bytes(4) + path + b"\0" + path + b"\0")
        ),
        "dref-alias": box(b"dref", bytes(4) + struct.pack(">I", 1) + box(b"alis", bytes(4) + alias(path))),
        "dref-resource": box(b"dref", bytes(4) + struct.pack(">I", 1) + box(b"rsrc", bytes(4) + alias(path))),
    }
    found = {kind: _with_reference(movie, dref) for kind, dref in elsewhere.items()}
    # QuickTime's reference movie: no media, an address instead
    target = box(b"rdrf", bytes(4) + b"url " + struct.pack(">I", len(path) + 1) + path + b"\0")
    found["reference-movie"] = box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(
        b"moov", box(b"rmra", box(b"rmda", target))
    )
    return found


def _with_reference(movie: bytes, dref: bytes) -> bytes:
    return rebuilt(movie, lambda name, inner: dref if name == b"dref" else box(name, inner))


def alias(path: bytes) -> bytes:
    """A Macintosh alias record with an absolute path, as FFmpeg reads it (libavformat/mov.c, mov_read_dref)."""
    name = path.rsplit(b"/", 1)[-1][:63]
    mac = path.replace(b"/", b":")
    mac += b"\0" * (len(mac) % 2)
    record = (
        bytes(10) + b"\0" + bytes(27) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    )
    record += struct.pack(">HH", 1, 1) + bytes(16)
    record += struct.pack(">HH", 2, len(mac)) + mac + struct.pack(">HH", 0xFFFF, 0)
    return record + bytes(max(0, 150 - len(record)))
