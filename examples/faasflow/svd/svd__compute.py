import pickle

from matrices import reduced

store.post("res", reduced(pickle.loads(store.fetch(["matrix"])["matrix"])).dumps(), datatype="octet")
