"""Functions that are handed a client; this module names no library."""


def load(client, key):
    return client.get(f"https://api.example.com/load/{key}")  # site: GET api.example.com/load/{}


def pick(data, key):
    return data.get(key)  # none


class Loader:
    def __init__(self, session):
        self.session = session

    def run(self):
        return self.session.post("https://api.example.com/run")  # site: POST api.example.com/run
