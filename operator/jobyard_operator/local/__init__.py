"""Everything on one machine, for `jobyard up`: an embedded Valkey, workers, a mailbox, the dashboard, and sample jobs.

The way through the package: `yard` starts the parts in order and stops them in order; `valkey`, `fleet`, `mail` and
`pictures` are the parts; `samples` says what to show, `endings` and `ledger` tell how it goes, `plain` and `screen` show it.
"""
