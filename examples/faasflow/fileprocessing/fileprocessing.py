"""File processing in Python: does what flat_workflow.yaml says."""

from pages import html_of, pages, receipt, sentiment_of

from weftrun import function, workflow


@function(effects="none")
def start() -> str:
    return pages()


@function(effects="none")
def conversion(text: str) -> str:
    return html_of(text)


@function(effects="none")
def sentiment(text: str) -> float:
    return sentiment_of(text)


@function(effects="none")
def upload(html: str, score: float) -> dict[str, object]:
    return {"uploaded": receipt(html, score)}


@workflow
def fileprocessing() -> dict[str, object]:
    text = start()
    return upload(conversion(text), sentiment(text))
