"""A project's own stores."""


class Repository:
    def get(self, key):
        return self.rows.get(key)  # none


cache = {}
http = Repository()
