"""Word count in Python: the workflow `wordcount` does what flat_workflow.yaml says, and `words` workflow_info.yaml."""

from texts import added, counted, most, texts

from weftrun import function, workflow


@function(effects="none")
def start() -> dict[str, str]:
    return texts()


@function(effects="none")
def count(text: str) -> dict[str, int]:
    return counted(text)


@function(deterministic=True, effects="none")
def merge(parts: list[dict[str, int]]) -> dict[str, object]:
    counts = added(parts)
    return {"words": len(counts), "most": most(counts)}


@workflow
async def wordcount() -> dict[str, object]:
    found = await start.step()
    return await merge.step(count.map(found.values()))


@workflow
async def words() -> dict[str, object]:
    merged = await wordcount.step()
    return {"res": merged["words"]}
