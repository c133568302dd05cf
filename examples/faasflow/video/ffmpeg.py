"""What the video workflow does with ffmpeg, in all its versions. The clip is 12 s of ffmpeg's own test picture."""

import os
import subprocess
import tempfile
from pathlib import Path

QUIET = ("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y")


def run(*words: str) -> None:
    subprocess.run([*QUIET, *words], check=True)


def clip() -> bytes:
    return made("clip.mp4", "-f", "lavfi", "-i", "testsrc=duration=12:size=160x120:rate=10", "-g", "10")


def made(name: str, *words: str) -> bytes:
    """Return the file that ffmpeg makes of these words."""
    with tempfile.TemporaryDirectory(dir="work" if Path("work").is_dir() else None) as folder:
        run(*words, "-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", os.path.join(folder, name))
        return Path(folder, name).read_bytes()


def changed(video: bytes, name: str, *words: str, kind: str = "mp4") -> bytes:
    """Return what ffmpeg makes of a video."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, f"given.{kind}")
        given.write_bytes(video)
        return made(name, "-i", str(given), *words)


def preview(video: bytes) -> bytes:
    return changed(video, "preview.gif", "-t", "1")


def split(video: bytes, seconds: int) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "given.mp4")
        given.write_bytes(video)
        pieces = ("-c", "copy", "-f", "segment", "-segment_time", str(seconds), "-reset_timestamps", "1")
        run("-i", str(given), *pieces, "-fflags", "+bitexact", os.path.join(folder, "piece_%02d.mp4"))
        return [piece.read_bytes() for piece in sorted(Path(folder).glob("piece_*.mp4"))]


def transcoded(video: bytes) -> bytes:
    return changed(video, "transcoded.avi", "-c:v", "mpeg4", "-q:v", "5")


def merged(pieces: list[bytes]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        for number, piece in enumerate(pieces):
            Path(folder, f"{number}.avi").write_bytes(piece)
        names = Path(folder, "names")
        names.write_text("".join(f"file '{number}.avi'\n" for number in range(len(pieces))))
        return made("merged.avi", "-f", "concat", "-safe", "0", "-i", str(names), "-c", "copy")


def seconds_of(video: bytes) -> float:
    """Return how long a video is, as ffprobe tells."""
    with tempfile.NamedTemporaryFile(suffix=".avi") as file:
        file.write(video)
        file.flush()
        words = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file.name]
        return round(float(subprocess.run(words, check=True, capture_output=True, text=True).stdout), 2)
