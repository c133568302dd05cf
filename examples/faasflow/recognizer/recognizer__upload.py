from vision import picture

store.post("img", picture(str(store.fetch(["digits"])["digits"])), datatype="octet")
