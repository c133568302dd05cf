from vision import read

store.post("text", read(store.fetch(["img"])["img"]))
