"""The recognizer in Python: does what flat_workflow.yaml and workflow_info.yaml say."""

import vision

import weftrun
from weftrun import function, workflow


@function(effects="none")
def upload(digits: str) -> bytes:
    return vision.picture(digits)


@function(effects="none")
def shows(image: bytes, digit: int) -> bool:
    return vision.shows(image, digit) > 0.95


@function(effects="none")
def either(one: bool, other: bool) -> bool:
    return one or other


@function(effects="none")
def translate(image: bytes) -> str:
    return vision.translated(vision.read(image))


@function(effects="none")
def is_spooky(text: str) -> bool:
    return vision.spooky_words(text) >= 1


@function(effects="none")
def mosaic(image: bytes, text: str | None) -> dict[str, object]:
    return {"mosaic": vision.told(vision.mosaic(image)), "text": text}


@function(effects="none")
def passed(text: str) -> dict[str, object]:
    return {"mosaic": None, "text": text}


@workflow
def covered(image: bytes) -> dict[str, object]:
    return mosaic(image, None)


@workflow
async def read(image: bytes) -> dict[str, object]:
    text = await translate.step(image)
    if await is_spooky.step(text):
        return await mosaic.step(image, text)
    return await passed.step(text)


@workflow
def recognizer(digits: str) -> dict[str, object]:
    image = upload(digits)
    illegal = either(shows(image, 8), shows(image, 4))
    return weftrun.when(illegal, covered, read, image)
