"""The real servers: found in the environment or started from the package registries, for tests and for people.

find.py           the order in which they are looked for
base.py           what each can do: start, stop, restart, kill, close
kafka.py  elasticsearch.py  postgres.py     where each comes from and how it is set up
cache.py  maven.py                          downloads, once per machine
__main__.py       `make servers`
"""
