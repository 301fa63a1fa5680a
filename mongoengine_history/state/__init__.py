"""Plain Python: states, patches, revisions. No database, only the data format `bson`."""
