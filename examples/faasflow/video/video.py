"""The video workflow in Python: does what flat_workflow.yaml and workflow_info.yaml say."""

import ffmpeg

from weftrun import function, workflow


@function(effects="none")
def upload() -> bytes:
    return ffmpeg.clip()


@function(effects="none")
def preview(video: bytes) -> bytes:
    return ffmpeg.preview(video)


@function(effects="none")
def split(video: bytes, seconds: int) -> list[bytes]:
    return ffmpeg.split(video, seconds)


@function(effects="none")
def transcode(video: bytes) -> bytes:
    return ffmpeg.transcoded(video)


@function(effects="none")
def merge(pieces: list[bytes]) -> dict[str, object]:
    video = ffmpeg.merged(pieces) if len(pieces) > 1 else pieces[0]
    return {"done": {"seconds": ffmpeg.seconds_of(video), "pieces": len(pieces)}}


@workflow
async def video(segment_time: int) -> dict[str, object]:
    clip = await upload.step()
    preview.step(clip)
    pieces = await split.step(clip, segment_time) if segment_time > 0 else [clip]
    return await merge.step(transcode.map(pieces))
