"""One `/metrics` for all workers of a service on a host, whichever of them is asked.

In a private folder each process keeps a sheet: what it exposes, cumulative, checked by a digest. It writes the sheet
before it tells anybody of it, on its own Unix socket or to a scrape, so that nothing that was shown is lost with the
process. The worker that is asked calls the others, takes the last sheet of one that does not answer in time, and adds
what the dead have left. Who is alive is told by a file lock, which ends with its process however that ends.

    listening    which processes are one target: those that listen on one address
    totals       the values of series, and how those of several processes become one
    sheets       what a process writes down
    files        the folder: locks, whole writes, what is set aside
    past         the dead: folded into one sheet, once each
    asking       the sockets
    gathering    everything that is known of a target now
    worker       one process of it

A process that dies by SIGKILL loses what came after its last sheet, at most one flush interval, and nothing that was
scraped. docs/decisions/0008 says why it is so.
"""
