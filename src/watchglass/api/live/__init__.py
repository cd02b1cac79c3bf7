"""The live tail of logs: one reader of the store a process, while anyone watches, and what it reads to all who do."""
