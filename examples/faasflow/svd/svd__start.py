from matrices import blocks

for block in blocks(store.fetch(["start"])["start"]):
    store.post("matrix", block.dumps(), datatype="octet")
