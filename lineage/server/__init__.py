"""The server of a team: versions of datasets and models over HTTP, each tenant's apart.

`lineage serve` runs it; `create_app` gives it to another ASGI server. It keeps nothing in memory
that another process would have to know, so several may serve one database.
"""
