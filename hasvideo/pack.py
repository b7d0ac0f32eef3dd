"""Pack feature folders into a few large files, or unpack them: ``python -m hasvideo.pack FEATURES -o PACKED``.

File systems of clusters serve a few large files well and 100 000 small ones badly. Whatever reads features reads packed
ones too; only adding to them takes unpacking.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hasvideo.commands import CallableModule, CommandParser, run
from hasvideo.errors import HasvideoError, UsageError
from hasvideo.features import shards
from hasvideo.features.manifest import MANIFEST, Manifest, Record
from hasvideo.features.shards import INDEX, Kind, nbytes
from hasvideo.features.store import META, FeatureMeta, FeatureStore, remove_leftovers
from hasvideo.files import atomic_path, write_text

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_MOST = 100_000  # videos in a shard: readers of safetensors refuse headers of more than 100 MB


@dataclass(frozen=True)
class Packed:
    """What came of packing or unpacking.

    Attributes:
        store: the new folder.
        videos: how many it was to take.
        kept: how many of them were there already, from a run that was cut off.
        shards: how many files hold them; 0 where they were unpacked.
    """

    store: FeatureStore
    videos: int
    kept: int
    shards: int = 0


def pack(
    features: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    shard_size: str = "2GB",
    unpack: bool = False,
    progress: bool = True,
) -> Packed:
    """Bring the features of one or several folders into shards, or back into a file a video.

    Run it again after whatever ended it: shards that are finished stay. The new folder can be opened once all is in it.

    Args:
        features: folders of the same kind, packed or not, such as each machine's part.
        output: folder to make; with ``unpack`` also one to add to, whose own features stay.
        shard_size: bytes, or with kB, MB, GB or TB (powers of 1000), up to which a shard is filled. One video's
            features are never divided.
        unpack: write a ``.npy`` a video.
        progress: show a bar on standard error.

    Raises:
        UsageError: no such folder, no features, a video in two folders, a wrong size, or the output is there already.
        HasvideoError: the folders differ in kind, features are damaged, or the output cannot be written.
    """
    size, output = _parse_size(shard_size), Path(output)
    given = [features] if isinstance(features, str | Path) else features
    stores = [FeatureStore(Path(folder)) for folder in given]
    sources = _sources(stores)
    if unpack:
        return _unpack(sources, output, progress)
    return _pack(sources, output, size, progress)


def render(packed: Packed) -> str:
    """Say what came of it, as plain text."""
    shards = f" in {packed.shards} shards" if packed.shards else ""
    kept = f", {packed.kept} of which were there" if packed.kept else ""
    return f"{packed.store.folder}: features of {packed.videos} videos{shards}{kept}\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(argv)
    if not options.features:
        raise UsageError("no feature folder given")
    names = ("shard_size", "unpack")
    packed = pack(
        options.features, options.output, progress=not options.quiet, **{name: options[name] for name in names}
    )
    sys.stdout.write(render(packed))


def _parser() -> CommandParser:
    parser = CommandParser("pack", "Pack feature folders into a few large safetensors files, or unpack them.")
    add = parser.add_argument
    add("features", nargs="*", help="feature folders of the same kind")
    add("-o", "--output", required=True, metavar="FOLDER", help="folder to make")
    add("--shard-size", default="2GB", metavar="SIZE", help="fill a file up to this many bytes, or kB, MB, GB, TB")
    add("--unpack", action="store_true", help="write a .npy a video instead, for extract to add to")
    add("--quiet", action="store_true", help="print no progress")
    return parser


def _parse_size(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]b)?", text.strip(), re.IGNORECASE)
    size = int(float(found[1]) * _UNITS[(found[2] or "").upper()]) if found else 0
    if size < 1:
        raise UsageError(f"shard size is a number of bytes, or one with kB, MB, GB or TB, such as 2GB; got {text!r}")
    return size


def _sources(stores: Sequence[FeatureStore]) -> dict[str, FeatureStore]:
    """Find which folder has the features of each video, the videos sorted.

    Raises:
        UsageError: a folder is given twice, a video is in two folders, or there is none.
        HasvideoError: the folders differ in kind.
    """
    folders = [store.folder.resolve() for store in stores]
    twice = [str(store.folder) for store, folder in zip(stores, folders, strict=True) if folders.count(folder) > 1]
    if twice:
        raise UsageError(f"the same folder is given twice: {' '.join(twice)}")
    sources: dict[str, FeatureStore] = {}
    for store in stores:
        if store.meta != stores[0].meta:
            raise HasvideoError(
                f"{store.folder} holds other features than {stores[0].folder}: {store.meta}, not {stores[0].meta}"
            )
        for video in store.videos():
            other = sources.setdefault(video, store)
            if other is not store:
                raise UsageError(f"video {video!r} is in {other.folder} and in {store.folder}")
    if not sources:
        raise UsageError(f"no features in {', '.join(str(store.folder) for store in stores)}")
    return dict(sorted(sources.items()))


def _pack(sources: Mapping[str, FeatureStore], output: Path, size: int, progress: bool) -> Packed:
    if (output / META).exists():
        raise UsageError(f"{output} is a feature folder already; choose another")
    remove_leftovers(output)
    packed: dict[str, dict[str, Kind]] = {}
    kept = 0
    with tqdm(total=len(sources), unit="video", file=sys.stderr, disable=not progress, leave=False) as bar:
        for kinds in _divide(sources, size):
            path = output / f"shard-{len(packed):05d}.safetensors"
            if _is_current(path, kinds, sources):
                kept += len(kinds)
            else:
                shards.write_shard(path, kinds, lambda video: sources[video].load(video))
            packed[path.name] = kinds
            bar.update(len(kinds))
    for path in output.glob("shard-*.safetensors"):
        if path.name not in packed:  # of a run that was cut off, into smaller shards
            path.unlink()
    shards.write_index(output, packed)
    if records := _records(sources):
        write_text(output / MANIFEST, "".join(f"{record.to_json()}\n" for record in records))
    write_text(output / META, _meta(sources).to_json())  # last: it makes the folder one that can be opened
    return Packed(FeatureStore(output), len(sources), kept, len(packed))


def _divide(sources: Mapping[str, FeatureStore], size: int) -> Iterator[dict[str, Kind]]:
    """Yield the videos of each shard, with the shape and dtype of their features."""
    shard: dict[str, Kind] = {}
    filled = 0
    for video, store in sources.items():
        kind = store.describe(video)
        if shard and (filled + nbytes(kind) > size or len(shard) == _MOST):
            yield shard
            shard, filled = {}, 0
        shard[video] = kind
        filled += nbytes(kind)
    yield shard


def _is_current(path: Path, kinds: Mapping[str, Kind], sources: Mapping[str, FeatureStore]) -> bool:
    """Say whether a shard is finished, and none of the features in it was changed since."""
    if not path.exists() or not shards.holds(path, kinds):
        return False
    written = path.stat().st_mtime
    return all(sources[video].path(video).stat().st_mtime <= written for video in kinds)


def _unpack(sources: Mapping[str, FeatureStore], output: Path, progress: bool) -> Packed:
    if (output / INDEX).exists():
        raise UsageError(f"{output} is packed: choose another folder to unpack into")
    store = FeatureStore.create(output, _meta(sources))
    todo = store.lacking(sources)
    for video in tqdm(todo, unit="video", file=sys.stderr, disable=not progress, leave=False):
        with atomic_path(store.path(video)) as temporary:  # not save(), which would convert odd ones of another dtype
            np.save(temporary, sources[video].load(video))
    manifest = Manifest(output)
    present = manifest.records()
    for record in _records(sources):
        if record.id not in present or present[record.id].error:
            manifest.add(record)
    return Packed(store, len(sources), len(sources) - len(todo))


def _meta(sources: Mapping[str, FeatureStore]) -> FeatureMeta:
    return next(iter(sources.values())).meta


def _records(sources: Mapping[str, FeatureStore]) -> list[Record]:
    """List what the folders' manifests say of the videos: by it extract knows unpacked features for finished ones."""
    return [
        record
        for store in dict.fromkeys(sources.values())
        for video, record in Manifest(store.folder).records().items()
        if sources.get(video) is store and not record.error
    ]


sys.modules[__name__].__class__ = CallableModule

if __name__ == "__main__":
    run(main)
